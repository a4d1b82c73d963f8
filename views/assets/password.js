// A button beside the label that shows the typed password; without scripts the field is simply a password field.

for (const field of document.querySelectorAll('input[type="password"][data-show]')) {
  const label = field.labels[0];
  const { show, hide } = field.dataset;
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'reveal';
  button.textContent = show;
  button.setAttribute('aria-controls', field.id);
  button.setAttribute('aria-label', `${show}: ${label.textContent}`);
  button.addEventListener('click', () => {
    const is_shown = field.type === 'password';
    field.type = is_shown ? 'text' : 'password';
    button.textContent = is_shown ? hide : show;
    button.setAttribute('aria-label', `${button.textContent}: ${label.textContent}`);
  });
  // A shown password that is sent would be kept among the browser's suggestions for text fields.
  field.form.addEventListener('submit', () => {
    field.type = 'password';
  });
  label.after(button);
}
