// Presses the one button of a page whose form goes on by itself.
document.getElementById('forward')?.requestSubmit();
