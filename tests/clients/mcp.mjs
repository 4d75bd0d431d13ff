// Checks of a client for MCP, which `connect` makes for a path below the endpoint, with a key or none.

import { expect, fails, FIRST, KEY, NEXT, QUESTION, run, SECOND } from "./checks.mjs"

const ENDPOINT = process.env.DUCK_URL

/** The URL of a server, and the headers that it needs. */
export const server = (path, key) => ({
  url: new URL(ENDPOINT + path),
  options: { requestInit: { headers: key ? { Authorization: `Bearer ${key}` } : {} } },
})

/** Runs the checks. `connect(path, key)` gives a client, `call(client, name, arguments, options)` a tool's result. */
export async function runChecks(connect, call) {
  const client = await connect("/mcp", KEY)
  const names = async (from) => (await from.listTools()).tools.map((tool) => tool.name)
  const text = (result) => result.content.map((part) => part.text ?? part.uri).join("\n")
  await run({
    lists: async () => expect((await names(client)).join(), "chatbot", "workflow"),
    calls: async () => {
      const result = await call(client, "chatbot", { query: QUESTION })
      expect(text(result), QUESTION, FIRST)
      expect(result.structuredContent.answer, QUESTION, FIRST)
      expect(result.isError ?? false, "false")
    },
    "takes two turns": async () => {
      const { conversation_id } = (await call(client, "chatbot", { query: QUESTION })).structuredContent
      expect(text(await call(client, "chatbot", { query: NEXT, conversation_id })), NEXT, SECOND)
    },
    "calls a workflow": async () => {
      const result = await call(client, "workflow", { text: "Rain is coming.", words: 2, loud: true })
      expect(result.structuredContent.outputs.summary, "RAIN IS")
      expect(result.structuredContent.outputs.words, "3")
    },
    "gets a file as a link": async () => {
      const [link] = (await call(client, "report", {})).content
      expect(link.type, "resource_link")
      expect(await (await fetch(link.uri)).text(), "# On ducks")
    },
    "hears of progress": async () => {
      const notes = []
      const onprogress = (note) => notes.push(note)
      await call(client, "workflow", { text: "Rain is coming." }, { onprogress })
      expect(notes.map((note) => note.message).join(), "Start", "Summarise", "End")
      expect(notes.map((note) => note.progress).join(), notes.map((_, number) => number + 1).join())
    },
    "gets a result when a run fails": async () => {
      const result = await call(client, "fails-early", { query: QUESTION })
      expect(result.isError, "true")
      expect(text(result), "not initialized")
    },
    "throws for a tool that is not there": () => fails(() => call(client, "nothing", {}), "Unknown tool"),
    "calls the one app of a path": async () => {
      const one = await connect("/mcp/workflow", KEY)
      expect((await names(one)).join(), "workflow")
      expect(text(await call(one, "workflow", { text: "Rain is coming." })), "Rain is coming.")
      await one.close()
    },
    "is a guest without a key": async () => {
      const guest = await connect("/mcp", "")
      const seen = await names(guest)
      expect(seen.join(), "chatbot")
      expect(seen.includes("completion"), "false")
      await guest.close()
    },
    "throws for a wrong key": async () => {
      const { message } = await fails(() => connect("/mcp", "a-wrong-key"), "")
      if (!/API key|401/.test(message)) throw new Error(message)
    },
  })
  await client.close()
}
