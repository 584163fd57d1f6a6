// Asks the server at $OMNI_URL with the packages that people use, and prints what it heard as one line of JSON.
import assert from "node:assert/strict";
import { Ollama } from "ollama";
import OpenAI from "openai";

const url = process.env.OMNI_URL;
const model = process.env.OMNI_MODEL;
const messages = [{ role: "user", content: "Hi" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "weather", description: "The weather", parameters } }];

const ollama = new Ollama({ host: url });
assert.ok((await ollama.list()).models.some((one) => one.model === model));
assert.ok((await ollama.show({ model })).capabilities.includes("tools"));
assert.deepEqual((await ollama.ps()).models, []);
assert.equal((await ollama.chat({ model, messages })).message.content, "A word.");
let text = "";
let last;
for await (const part of await ollama.chat({ model, messages, stream: true })) {
  text += part.message.content;
  last = part;
}
assert.equal(text, "A word.");
assert.equal(last.done, true);
assert.equal(last.eval_count, 2);
text = "";
for await (const part of await ollama.generate({ model, prompt: "Hi", stream: true })) text += part.response;
assert.equal(text, "A word.");
assert.equal((await ollama.embed({ model, input: ["a", "b"] })).embeddings.length, 2);
const called = await ollama.chat({ model, messages: [{ role: "user", content: "call" }], tools });
assert.deepEqual(called.message.tool_calls[0].function.arguments, { city: "Rome" });
await assert.rejects(ollama.chat({ model: "llama3", messages }), /Installed: /);
await assert.rejects(async () => {
  for await (const _ of await ollama.chat({ model, messages: [{ role: "user", content: "fail" }], stream: true }));
}, /It died/);

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 });
assert.ok((await openai.models.list()).data.some((one) => one.id === model));
const answer = await openai.chat.completions.create({ model, messages });
assert.equal(answer.choices[0].message.content, "A word.");
assert.equal(answer.choices[0].finish_reason, "stop");
const stream = await openai.chat.completions.create({
  model,
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
text = "";
let usage;
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(text, "A word.");
assert.equal(usage.completion_tokens, 2);
const forced = await openai.chat.completions.create({
  model,
  messages: [{ role: "user", content: "call" }],
  tools,
  tool_choice: "required",
});
assert.equal(forced.choices[0].finish_reason, "tool_calls");
assert.deepEqual(JSON.parse(forced.choices[0].message.tool_calls[0].function.arguments), { city: "Rome" });
assert.equal((await openai.embeddings.create({ model, input: "a" })).data[0].embedding.length, 8);
await assert.rejects(openai.chat.completions.create({ model: "gpt-0", messages }), { status: 404 });
console.log("both packages are content");
