// Anthropic's client for JavaScript.

import Anthropic from "@anthropic-ai/sdk"
import { all, expect, fails, FIRST, KEY, NEXT, QUESTION, run, said, SECOND } from "./checks.mjs"

const client = new Anthropic({ baseURL: process.env.DUCK_URL, apiKey: KEY })
const asked = (texts, { model = "chatbot", ...more } = {}) => ({
  model,
  max_tokens: 1024,
  messages: said(...texts),
  ...more,
})
const ask = (texts, more) => client.messages.create(asked(texts, more))
const text = (message) => message.content.map((block) => block.text).join("")
const streamed = async (stream) => (await all(stream)).map((event) => event.delta?.text ?? "").join("")
// A picture of one pixel.
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

await run({
  "lists models": async () => {
    expect((await all(client.models.list())).map((model) => model.id), "chatbot", "workflow")
    expect((await client.models.retrieve("chatbot")).id, "chatbot")
  },
  asks: async () => {
    const message = await ask([QUESTION])
    expect(text(message), QUESTION, FIRST)
    expect(message.stop_reason, "end_turn")
    expect(message.usage.output_tokens > 0, "true")
  },
  streams: async () => expect(await streamed(await ask([QUESTION], { stream: true })), QUESTION, FIRST),
  "streams with its helper": async () => {
    const stream = client.messages.stream(asked([QUESTION]))
    const message = await stream.finalMessage()
    expect(text(message), QUESTION, FIRST)
    expect(message.usage.output_tokens > 0, "true")
  },
  "takes two turns": async () => {
    const first = text(await ask([QUESTION]))
    expect(text(await ask([QUESTION, first, NEXT])), NEXT, SECOND)
  },
  "takes two turns in streams": async () => {
    const first = await client.messages.stream(asked([NEXT])).finalText()
    expect(await client.messages.stream(asked([NEXT, first, QUESTION])).finalText(), QUESTION, SECOND)
  },
  "goes on by the id of the conversation": async () => {
    const first = await client.messages.stream(asked([QUESTION])).finalMessage()
    expect(text(await ask([NEXT], { conversation_id: first.conversation_id })), NEXT, SECOND)
  },
  "sends a system prompt, inputs and an image": async () => {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } }
    const messages = [{ role: "user", content: [{ type: "text", text: "Rain is coming." }, image] }]
    const message = await ask([], { model: "workflow", messages, system: "Be short.", inputs: { tone: "casual" } })
    expect(text(message), "Be short.", "Rain is coming.", "tone: casual")
  },
  "gets an agent's text alone": async () => {
    const message = await client.messages.stream(asked(["a duck"], { model: "agent" })).finalMessage()
    expect(message.content.map((block) => block.type).join(), "text")
    expect(text(message), "Here is picture number 1", "![")
  },
  "throws when a run fails": async () => {
    const error = await fails(() => ask([QUESTION], { model: "fails-early" }), "not initialized")
    if (!(error instanceof Anthropic.InternalServerError)) throw error
  },
  "throws when a stream fails": async () => {
    for (const act of [
      async () => all(await ask([QUESTION], { model: "fails-midway", stream: true })),
      () => client.messages.stream(asked([QUESTION], { model: "fails-midway" })).finalMessage(),
    ]) {
      const error = await fails(act, "too many requests")
      if (!(error instanceof Anthropic.APIError)) throw error
    }
  },
  "throws for tools": async () => {
    const tools = [{ name: "f", input_schema: { type: "object" } }]
    const error = await fails(() => ask([QUESTION], { tools }), "tools: an app has its own tools")
    if (!(error instanceof Anthropic.BadRequestError)) throw error
  },
  "throws for a wrong key": async () => {
    const error = await fails(() => client.withOptions({ apiKey: "a-wrong-key" }).models.list(), "401")
    if (!(error instanceof Anthropic.AuthenticationError)) throw error
  },
})
