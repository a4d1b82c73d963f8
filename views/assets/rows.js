// A double click on a row opens what the link in it opens; on a control of the row it stays the control's.

for (const row of document.querySelectorAll('tr[data-detail]')) {
  row.addEventListener('dblclick', (event) => {
    if (!event.target.closest('a, button, input')) location.assign(row.dataset.detail);
  });
}
