// Ticks off what a new password must be while it is typed; the server decides, and without scripts the list is a list.

for (const list of document.querySelectorAll('ul[data-met]')) {
  const field = document.getElementById(list.dataset.field);
  const rules = [...list.querySelectorAll('[data-pattern]')].map((item) => {
    const state = item.querySelector('.state') ?? item.appendChild(document.createElement('span'));
    state.className = 'state';
    return { item, state, told: state.textContent, pattern: new RegExp(item.dataset.pattern, 'u') };
  });
  field.addEventListener('input', () => {
    const typed = field.value.normalize('NFC');
    for (const { item, state, told, pattern } of rules) {
      const is_met = pattern.test(typed);
      item.classList.toggle('met', is_met);
      state.textContent = is_met ? ` ${list.dataset.met}` : ` ${told}`;
    }
  });
}
