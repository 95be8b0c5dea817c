// What is kept: conversations in localStorage, one entry each, so that two tabs don't overwrite each other's.

const STORE = 'packetboat.conversation.';
const shelf = {
  all() {
    const found = [];
    for (let place = 0; place < localStorage.length; place += 1) {
      const key = localStorage.key(place);
      if (key.startsWith(STORE)) found.push(shelf.read(key.slice(STORE.length)));
    }
    return found.filter(Boolean).sort((a, b) => b.touched - a.touched);
  },
  read(id) {
    try {
      const kept = JSON.parse(localStorage.getItem(STORE + id));
      return kept && Array.isArray(kept.turns) ? kept : null;
    } catch {
      return null;
    }
  },
  write(conversation) {
    if (conversation.turns.length === 0) return;
    const text = JSON.stringify(conversation);
    for (;;) {
      try {
        localStorage.setItem(STORE + conversation.id, text);
        return;
      } catch {
        // the browser's room is used up: the oldest conversation goes
        const oldest = shelf.all().filter((other) => other.id !== conversation.id).pop();
        if (!oldest) return;
        localStorage.removeItem(STORE + oldest.id);
      }
    }
  },
  drop(id) {
    localStorage.removeItem(STORE + id);
  },
};

const titleOf = (conversation) => {
  const first = conversation.turns[0]?.text.trim().split('\n')[0] || say('untitled');
  return first.length > 60 ? `${first.slice(0, 58)} …` : first;
};
