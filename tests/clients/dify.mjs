// Dify's client for JavaScript.

import { ChatClient, CompletionClient } from "dify-client"
import { expect, fails, FIRST, KEY, NEXT, QUESTION, run, SECOND } from "./checks.mjs"

const base = (app) => `${process.env.DUCK_URL}/dify/${app}/v1`
const chat = (app = "chatbot", key = KEY) => new ChatClient(key, base(app))
const text = (app) => new CompletionClient(KEY, base(app))

/** The events of a stream. */
async function events(response) {
  let all = ""
  for await (const chunk of response.data) all += chunk
  return all
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => JSON.parse(line.slice(6)))
}

const said = (stream) => stream.map((event) => event.answer ?? "").join("")

/** Throws unless `act` is answered with this status and these words. */
async function refused(act, status, words) {
  const error = await fails(act, String(status))
  expect(error.response.data.message, words)
}

await run({
  asks: async () => expect((await chat().createChatMessage({}, QUESTION, "ann")).data.answer, QUESTION, FIRST),
  streams: async () => expect(said(await events(await chat().createChatMessage({}, QUESTION, "ann", true))), QUESTION, FIRST),
  "takes two turns": async () => {
    const id = (await chat("agent").createChatMessage({}, QUESTION, "ann")).data.conversation_id
    expect((await chat("agent").createChatMessage({}, NEXT, "ann", false, id)).data.answer, "picture number 2")
    const own = (await chat().createChatMessage({}, QUESTION, "ann")).data.conversation_id
    expect(said(await events(await chat().createChatMessage({}, NEXT, "ann", true, own))), NEXT, SECOND)
  },
  "writes a text": async () =>
    expect((await text("completion").createCompletionMessage({ topic: "rain" }, "ann")).data.answer, "rain at daybreak"),
  "runs a workflow": async () => {
    const done = await text("workflow").runWorkflow({ text: "Rain." }, "ann")
    expect(done.data.data.status, "succeeded")
    const names = (await events(await text("workflow").runWorkflow({ text: "Rain." }, "ann", true))).map((event) => event.event)
    expect(names.at(-1), "workflow_finished")
  },
  "uploads a file": async () => {
    const form = new FormData()
    form.append("file", new Blob(["PNG"], { type: "image/png" }), "duck.png")
    form.append("user", "ann")
    const { id } = (await chat().fileUpload(form)).data
    const file = { type: "image", transfer_method: "local_file", upload_file_id: id }
    expect((await chat().createChatMessage({}, QUESTION, "ann", false, null, [file])).data.answer, "duck.png")
  },
  "keeps conversations": async () => {
    const user = `ann-${Math.random()}`
    const { conversation_id: id, message_id } = (await chat().createChatMessage({}, QUESTION, user)).data
    expect((await chat().getConversations(user)).data.data.map((each) => each.id).join(), id)
    expect((await chat().getConversations("somebody-else")).data.data.length, 0)
    expect((await chat().messageFeedback(message_id, "like", user)).data.result, "success")
    expect((await chat().renameConversation(id, "Ducks", user, false)).data.name, "Ducks")
    expect((await chat().getConversationMessages(user, id)).data.data.length, 1)
    expect((await chat().deleteConversation(id, user)).status, 204)
  },
  "reads the form": async () =>
    expect((await chat().getApplicationParameters("ann")).data.opening_statement, "Hello!"),
  "throws when a run fails": async () =>
    refused(() => chat("fails-early").createChatMessage({}, QUESTION, "ann"), 502, "not initialized"),
  "throws for a wrong key": async () => refused(() => chat("chatbot", "a-wrong-key").getConversations("ann"), 401, "API key"),
  "throws for what only the app's own key gives": async () =>
    refused(() => chat("agent").getConversations("ann"), 404, "app_keys"),
})
