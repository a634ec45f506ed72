// SPDX-License-Identifier: LGPL-2.1-or-later
// A web server that builds, sorts and prints an object for each request, on the port given.
'use strict';
const http = require('http');

const kept = new Map();

http.createServer((request, response) => {
	const numbers = Array.from({ length: 500 }, (_, i) => (i * 7919) % 503);
	kept.set(kept.size % 1000, numbers);
	numbers.sort((a, b) => a - b);
	response.end(JSON.stringify({ url: request.url, numbers }));
}).listen(Number(process.argv[2]), '127.0.0.1');
