// Fetches the list again when a newer mail is there. Without scripts the page reloads itself every five seconds.
const EVERY_MS = 1500;

async function look() {
  const list = document.getElementById("mails");
  const answer = await fetch(`/api/mails?after=${list.dataset.newest}`);
  if (answer.ok && (await answer.json()).length > 0) {
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    list.replaceWith(page.getElementById("mails"));
    document.title = page.title;
  }
}

setInterval(() => document.hidden || look().catch(() => {}), EVERY_MS);
