// An SQS server on the engine of the npm package fauxqs, without the rest of
// it, which needs a newer Node than Debian has.
//
// usage: node sqs.mjs FOLDER PORT, where FOLDER has node_modules with fauxqs.
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, port] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(folder, "node_modules/fauxqs/dist/sqs", file)).href);

const { SqsStore } = await load("sqsStore.js");
const { SqsRouter } = await load("sqsRouter.js");
const { INVALID_MESSAGE_BODY_CHAR } = await load("sqsTypes.js");

// SQS takes characters beyond the basic plane too; fauxqs refuses their halves.
INVALID_MESSAGE_BODY_CHAR.compile(/[^\x09\x0A\x0D\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u);

const store = new SqsStore();
store.host = ""; // queue URLs have the host that was asked
const router = new SqsRouter(store);
for (const action of [
	"changeMessageVisibilityBatch", "createQueue", "deleteMessageBatch", "deleteQueue", "getQueueAttributes",
	"getQueueUrl", "listQueues", "purgeQueue", "receiveMessage", "sendMessageBatch", "setQueueAttributes",
]) {
	router.register(action[0].toUpperCase() + action.slice(1), (await load(`actions/${action}.js`))[action]);
}

const answer = async (request, response) => {
	if (request.method === "GET") {
		response.end(JSON.stringify({ pid: process.pid }));
		return;
	}
	const parts = [];
	for await (const part of request) parts.push(part);
	const reply = {
		status: (code) => { response.statusCode = code; },
		header: (name, value) => { response.setHeader(name, value); },
	};
	const body = JSON.parse(Buffer.concat(parts).toString("utf8"));
	response.end(JSON.stringify(await router.handle({ headers: request.headers, body }, reply)));
};

createServer((request, response) => {
	answer(request, response).catch((error) => {
		console.error(error);
		response.statusCode = 500;
		response.end();
	});
}).listen(Number(port), "127.0.0.1");
