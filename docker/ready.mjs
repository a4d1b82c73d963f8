// The health check of the image: exit code 0 when the node of this container answers that it is ready.
const [address = `http://127.0.0.1:${process.env.GAPURA_LISTEN_PORT || 3000}/readyz`] = process.argv.slice(2);
const answer = await fetch(address, { signal: AbortSignal.timeout(4000) }).catch(() => undefined);
process.exit(answer?.ok ? 0 : 1);
