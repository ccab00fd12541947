// What django-celery-beat writes into its page: it says in words when a crontab fires, as soon as one is chosen.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const words = JSON.parse(document.getElementById("readable-crontabs").textContent);
  const chosen = document.getElementById("id_crontab");
  const help = document.querySelector(".field-crontab .help");
  const translation = document.querySelector(".field-crontab_translation");
  if (translation) translation.hidden = true;
  if (!chosen || !help) return;
  const line = document.createElement("div");
  help.append(line);
  chosen.addEventListener("change", () => { line.textContent = words[chosen.value] ? `Translation: ${words[chosen.value]}` : ""; });
});
