// Does the work that a human check asks for (src/human-check/work.ts), so that nobody has to read a picture. Without scripts,
// or where a browser cannot hash, the picture simply stands there.

const field = document.getElementById('captcha_work');
if (field && globalThis.crypto?.subtle) {
  const { form } = field;
  const puzzles = [...document.querySelectorAll('[data-puzzle]')];
  const status = document.createElement('p');
  status.className = 'hint';
  status.setAttribute('role', 'status');
  field.after(status);
  const show = (text, has_picture) => {
    status.textContent = text;
    for (const puzzle of puzzles) puzzle.hidden = !has_picture;
  };

  const work = async () => {
    const message = new Uint8Array(16384);
    const challenge = new TextEncoder().encode(field.dataset.challenge);
    for (let at = 0; at < message.length; at += 1) message[at] = challenge[at % challenge.length];
    const number = new DataView(message.buffer);
    const limit = 2 ** (32 - Number(field.dataset.bits));
    const attempt = async (at) => {
      number.setUint32(0, at);
      const hash = await crypto.subtle.digest('SHA-256', message);
      return new DataView(hash).getUint32(0) < limit;
    };
    // Several at once, since asking for a hash takes longer than a small hash; the page stays quick between them.
    for (let at = 0; at < 2 ** 32; at += 16) {
      const found = await Promise.all(Array.from({ length: 16 }, (_, step) => attempt(at + step)));
      if (found.includes(true)) return at + found.indexOf(true);
    }
    throw new Error('no number fits');
  };

  show(field.dataset.working, false);
  const done = work().then(
    (at) => {
      field.value = at;
      show(field.dataset.done, false);
    },
    () => show('', true),
  );

  // Who is quicker than the work waits for it; who gives up does not.
  form.addEventListener('submit', (event) => {
    if (field.value !== '' || !puzzles[0].hidden || event.submitter?.formNoValidate) return;
    event.preventDefault();
    const { submitter } = event;
    done.then(() => puzzles[0].hidden && form.requestSubmit(submitter));
  });
}
