// MCP's older SDK for JavaScript, on which many programs are built.

import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { runChecks, server } from "./mcp.mjs"

async function connect(path, key) {
  const client = new Client({ name: "checks", version: "1" })
  const { url, options } = server(path, key)
  await client.connect(new StreamableHTTPClientTransport(url, options))
  return client
}

await runChecks(connect, (client, name, args, options) => client.callTool({ name, arguments: args }, undefined, options))
