// The command line of MCP's Inspector.

import { execFile } from "node:child_process"
import { expect, FIRST, KEY, NEXT, QUESTION, run, SECOND } from "./checks.mjs"

const URL = `${process.env.DUCK_URL}/mcp`

/** What a call of the Inspector prints, as JSON, and its exit status. */
const inspect = (era, key, ...options) =>
  new Promise((resolve) => {
    const headers = key ? ["--header", `Authorization: Bearer ${key}`] : []
    const target = ["--cli", URL, "--transport", "http", ...headers, "--protocol-era", era, "--stored-auth-only", "--quiet"]
    execFile("mcp-inspector", [...target, "--format", "json", ...options], (error, stdout, stderr) => {
      const printed = stdout || stderr
      resolve({ status: error?.code ?? 0, printed, result: stdout ? JSON.parse(stdout).result : undefined })
    })
  })
const call = (era, name, args) =>
  inspect(era, KEY, "--method", "tools/call", "--tool-name", name, "--tool-args-json", JSON.stringify(args))

const checks = ["legacy", "modern"].map((era) => ({
  [`${era}: lists`]: async () => {
    const { status, printed } = await inspect(era, KEY, "--method", "tools/list", "--strict")
    expect(status, "0")
    expect(printed, '"chatbot"', '"workflow"')
  },
  [`${era}: calls`]: async () => {
    const { status, printed } = await call(era, "chatbot", { query: QUESTION })
    expect(status, "0")
    expect(printed, QUESTION, FIRST)
  },
  [`${era}: takes two turns`]: async () => {
    const first = await call(era, "chatbot", { query: QUESTION })
    const [, conversation_id] = first.printed.match(/conversation_id: ([\w-]+)/)
    expect((await call(era, "chatbot", { query: NEXT, conversation_id })).printed, NEXT, SECOND)
  },
  [`${era}: says that a run has failed`]: async () => {
    const { status, printed } = await call(era, "fails-early", { query: QUESTION })
    expect(status, "5")
    expect(printed, "not initialized")
  },
  [`${era}: says that a key is wrong`]: async () => {
    const { status } = await inspect(era, "a-wrong-key", "--method", "tools/list")
    expect(status, "3")
  },
}))

await run(Object.assign({}, ...checks))
