// Counts down to when another code can be sent; without scripts the number stays as it was when the page was made.

for (const place of document.querySelectorAll('[data-wait]')) {
  const until = performance.now() + Number(place.dataset.wait) * 1000;
  const timer = setInterval(() => {
    const seconds = Math.ceil((until - performance.now()) / 1000);
    place.textContent = seconds > 0 ? place.dataset.text.replace('#', seconds) : '';
    if (seconds <= 0) clearInterval(timer);
  }, 1000);
}
