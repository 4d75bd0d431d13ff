// A2A's SDK for JavaScript, which speaks the version that the command line names: 1.0 or 0.3.

import { randomUUID } from "node:crypto"
import { ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory } from "@a2a-js/sdk/client"
import { Role, TaskState } from "@a2a-js/sdk"
import { all, expect, fails, FIRST, KEY, NEXT, QUESTION, run, SECOND } from "./checks.mjs"

const version = process.argv[2]
const isOld = version === "0.3"
const legacyCompat = { enabled: isOld }

/** A client of an app, with a key. */
async function connect(app = "chatbot", key = KEY) {
  const fetchImpl = (url, options) =>
    fetch(url, { ...options, headers: { ...options?.headers, ...(key && { Authorization: `Bearer ${key}` }) } })
  const resolver = new DefaultAgentCardResolver({ fetchImpl, legacyCompat })
  const factory = new ClientFactory({
    transports: [new JsonRpcTransportFactory({ fetchImpl, legacyCompat })],
    cardResolver: resolver,
  })
  const url = `${process.env.DUCK_URL}/a2a/${app}`
  if (!isOld) return factory.createFromUrl(`${url}/`)
  const card = await resolver.resolve(`${url}/`)
  const old = card.supportedInterfaces.filter((each) => each.protocolVersion.startsWith("0.3"))
  return factory.createFromAgentCard({ ...card, supportedInterfaces: old })
}

const part = (value) => ({ content: { $case: typeof value === "string" ? "text" : "data", value } })

/** A message of these parts, in a context if there is one. */
const message = (values, contextId = "") => ({
  tenant: "",
  message: {
    messageId: randomUUID(),
    contextId,
    taskId: "",
    role: Role.ROLE_USER,
    parts: values.map(part),
    extensions: [],
    referenceTaskIds: [],
  },
})

const text = (task) => task.artifacts.flatMap((artifact) => artifact.parts.map((each) => each.content.value)).join("")
const payloads = async (stream) => (await all(stream)).map((event) => event.payload)
/** The text of the artifact, whose updates continue it or take its place. */
const streamed = (updates) =>
  updates
    .filter((update) => update.$case === "artifactUpdate")
    .reduce((before, { value: { append, artifact } }) => (append ? before : "") + artifact.parts[0].content.value, "")

await run({
  "finds an agent": async () => {
    const client = await connect()
    expect(client.protocolVersion, version)
    expect((await client.getAgentCard()).name, "Chatbot")
  },
  asks: async () => {
    const task = await (await connect()).sendMessage(message([QUESTION]))
    expect(text(task), QUESTION, FIRST)
    expect(task.status.state, TaskState.TASK_STATE_COMPLETED)
  },
  streams: async () => {
    const updates = await payloads((await connect()).sendMessageStream(message([QUESTION])))
    expect(updates.map((update) => update.$case)[0], "task")
    expect(streamed(updates), QUESTION, FIRST)
    expect(updates.at(-1).value.status.state, TaskState.TASK_STATE_COMPLETED)
  },
  "takes two turns": async () => {
    const client = await connect()
    const first = await client.sendMessage(message([QUESTION]))
    const second = await payloads(client.sendMessageStream(message([NEXT], first.contextId)))
    expect(streamed(second), NEXT, SECOND)
    expect(second[0].value.contextId, first.contextId)
  },
  "gives inputs": async () =>
    expect(text(await (await connect("workflow")).sendMessage(message([{ text: "Rain is coming." }]))), "Rain is coming."),
  "is told of a run that fails": async () => {
    const task = await (await connect("fails-early")).sendMessage(message([QUESTION]))
    expect(task.status.state, TaskState.TASK_STATE_FAILED)
    expect(task.status.message.parts[0].content.value, "not initialized")
  },
  "is told of a stream that fails": async () => {
    for (const app of ["fails-early", "fails-midway"]) {
      const updates = await payloads((await connect(app)).sendMessageStream(message([QUESTION])))
      expect(updates.at(-1).value.status.state, TaskState.TASK_STATE_FAILED)
    }
  },
  "throws for a context of another's": async () => {
    const client = await connect()
    await fails(() => client.sendMessage(message([QUESTION], randomUUID())), "no such context")
    await fails(() => all(client.sendMessageStream(message([QUESTION], randomUUID()))), "no such context")
  },
  "throws for a task": async () => fails(async () => (await connect()).getTask({ tenant: "", id: "x" }), "tasks are not kept"),
  "throws for a wrong key": async () => fails(() => connect("chatbot", "a-wrong-key"), "401"),
})
