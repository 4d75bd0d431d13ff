// AG-UI's client for JavaScript. It verifies the order of the events by itself.

import { HttpAgent } from "@ag-ui/client"
import { expect, fails, FIRST, KEY, NEXT, QUESTION, run, SECOND } from "./checks.mjs"

const agentOf = (app, key = KEY) =>
  new HttpAgent({
    url: `${process.env.DUCK_URL}/agui/${app}`,
    headers: key ? { Authorization: `Bearer ${key}` } : {},
  })

// A tool of the client's own, with the name of one of the agent's.
const tools = [{ name: "text2image", description: "Draws", parameters: { type: "object", properties: {} } }]

/** Says something in the agent's thread. Returns the new messages, and all events, the last one's `type` in `end`. */
async function say(agent, content, parameters = {}) {
  const events = []
  agent.addMessage({ id: crypto.randomUUID(), role: "user", content })
  const { newMessages } = await agent.runAgent(parameters, { onEvent: ({ event }) => void events.push(event) })
  return { messages: newMessages, events, end: events.at(-1).type, text: textOf(newMessages) }
}

// The client logs each failed run besides throwing it. It warns of what it does not know.
const warnings = []
console.error = () => {}
console.warn = (...words) => void warnings.push(words.join(" "))

const textOf = (messages) => messages.map((message) => (message.role === "assistant" ? (message.content ?? "") : "")).join("")
const types = (events) => events.map((event) => event.type)

await run({
  "runs an app": async () => {
    const { text, messages, events, end } = await say(agentOf("chatbot"), QUESTION)
    expect(text, QUESTION, FIRST)
    expect(messages.map((message) => message.role).join(), "assistant")
    expect(types(events)[0], "RUN_STARTED")
    expect(end, "RUN_FINISHED")
    expect(events.at(-1).usage[0].totalTokens > 0, "true")
  },
  "takes two turns": async () => {
    const agent = agentOf("chatbot")
    await say(agent, QUESTION)
    expect((await say(agent, NEXT)).text, NEXT, SECOND)
  },
  "takes inputs": async () => {
    const { text } = await say(agentOf("chatbot"), QUESTION, { forwardedProps: { inputs: { name: "Ann" } } })
    expect(text, "Hello, Ann!")
  },
  "runs a workflow and shows its steps": async () => {
    const { text, events } = await say(agentOf("workflow"), "Rain is coming.", { forwardedProps: { inputs: { tone: "casual" } } })
    expect(text, "tone: casual")
    expect(events.filter((event) => event.type === "STEP_STARTED").length > 1, "true")
    expect(events.filter((event) => event.type === "STEP_FINISHED").length > 1, "true")
  },
  "shows the tools of an agent, and is asked to run none": async () => {
    const agent = agentOf("agent")
    const { messages, events, end, text } = await say(agent, "a duck", { tools })
    expect(messages.map((message) => message.role).join(), "assistant,tool,assistant")
    expect(messages[0].toolCalls[0].function.name, "text2image")
    expect(JSON.parse(messages[0].toolCalls[0].function.arguments).text2image.prompt, "a duck")
    expect(messages[1].toolCallId === messages[0].toolCalls[0].id, "true")
    expect(types(events).filter((type) => type === "TOOL_CALL_START").length === 1, "true")
    expect(text, "in pencil.", "picture number 1")
    expect(end, "RUN_FINISHED")
    expect((await say(agent, "a goose", { tools })).text, "picture number 2")
  },
  "throws when a run fails": async () => {
    const error = await fails(() => say(agentOf("fails-early"), QUESTION), "not initialized")
    expect(error.status, "502")
    expect(error.payload.code, "provider_not_initialize")
  },
  "is told when a run fails that has begun": async () => {
    const { events, end, text } = await say(agentOf("fails-midway"), QUESTION)
    expect(end, "RUN_ERROR")
    expect(events.at(-1).message, "too many requests")
    expect(events.at(-1).code, "rate_limit_error")
    expect(text, "This answer to your question number 1")
  },
  "is a guest without a key, who sees the answer and no tools": async () => {
    const agent = agentOf("agent", "")
    const { messages, events, text } = await say(agent, "a duck")
    expect(messages.map((message) => message.role).join() === "assistant", "true")
    expect(types(events).some((type) => type.startsWith("TOOL")), "false")
    expect("usage" in events.at(-1), "false")
    expect(text, "picture number 1")
    expect((await say(agent, "a goose")).text, "picture number 2")
  },
  "throws for a wrong key": async () => {
    const error = await fails(() => say(agentOf("chatbot", "a-wrong-key"), QUESTION), "401")
    expect(error.payload.code, "unauthorized")
  },
  "throws for a wrong input": async () => {
    const forwardedProps = { inputs: { nothing: "x" } }
    await fails(() => say(agentOf("chatbot"), QUESTION, { forwardedProps }), "forwardedProps.inputs.nothing")
  },
  "knows all that it has got": () => expect(`${warnings.length} warnings: ${warnings}`, "0 warnings"),
})
