// The daemon as the page sees it: the token, sending once however often it takes, and following answers.
//
// A message is sent with its own id until the daemon has taken it (the same id is the same message), and its answer is
// followed until it has come: over lost connections (Last-Event-ID) and restarts of the daemon (the durable reply).

const FIRST_PAUSE = 800;
const LONGEST_PAUSE = 15000;

const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
});

// Reads `text/event-stream`, piece by piece.
class EventReader {
  constructor() {
    this.rest = '';
  }

  take(piece) {
    const lines = (this.rest + piece).replace(/\r\n?/g, '\n').split('\n\n');
    this.rest = lines.pop();
    return lines.map(EventReader.block).filter((event) => event.data !== '');
  }

  static block(block) {
    const event = { name: 'message', id: null, data: '' };
    for (const line of block.split('\n')) {
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') event.name = value;
      else if (field === 'id') event.id = value;
      else if (field === 'data') event.data += (event.data === '' ? '' : '\n') + value;
    }
    return event;
  }
}

class Daemon {
  // `storage`: where the token is kept. `tell(state)`: 'up', 'unreachable', 'busy', 'draining' or 'signed-out'.
  constructor(storage, tell) {
    this.storage = storage;
    this.tell = tell;
  }

  get token() {
    return this.storage.getItem('packetboat.token');
  }

  signOut() {
    this.storage.removeItem('packetboat.token');
    this.tell('signed-out');
  }

  // Exchanges a one-time code. True when it worked.
  async signInWithCode(code) {
    const answer = await fetch('api/session', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ code }),
    });
    if (!answer.ok) return false;
    this.storage.setItem('packetboat.token', (await answer.json()).token);
    return true;
  }

  // Takes a token that somebody made on the command line. True when it works.
  async signInWithToken(token) {
    const answer = await fetch('v1/health', { headers: { Authorization: `Bearer ${token}` } });
    if (answer.status === 401) return false;
    this.storage.setItem('packetboat.token', token);
    return true;
  }

  call(path, options = {}) {
    const headers = { ...options.headers, Authorization: `Bearer ${this.token}` };
    return fetch(path, { ...options, headers });
  }

  // Sends until the daemon has it. Resolves to null when it has, else to the reason for which it never will.
  // `waiting()` is told when it did not work yet; `hurry` is a promise maker that ends a pause early.
  async send(message, waiting, hurry) {
    for (let wait = FIRST_PAUSE; ; wait = Math.min(wait * 2, LONGEST_PAUSE)) {
      const outcome = await this.trySend(message);
      if (outcome.taken) {
        this.tell('up');
        return null;
      }
      if (outcome.never !== undefined) return outcome.never;
      this.tell(outcome.state);
      waiting();
      if (outcome.state === 'signed-out') await hurry();
      else await Promise.race([pause(Math.max(wait, outcome.after)), hurry()]);
    }
  }

  async trySend({ id, text, conversation }) {
    if (!this.token) return { state: 'signed-out', after: 0 };
    let answer;
    try {
      answer = await this.call('api/message', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Idempotency-Key': id },
        body: JSON.stringify({ text, conversation }),
      });
    } catch {
      return { state: 'unreachable', after: 0 };
    }
    if (answer.ok) return { taken: true };
    const after = Math.min(Number(answer.headers.get('Retry-After')) || 0, 60) * 1000;
    if (answer.status === 401) {
      this.signOut();
      return { state: 'signed-out', after: 0 };
    }
    if (answer.status === 429 || answer.status >= 500) return { state: 'busy', after };
    const problem = await answer.json().catch(() => ({}));
    return { never: problem.detail || `HTTP ${answer.status}` };
  }
}

// Follows the answers of one conversation that are still to come, over one connection.
class Follower {
  // `show(id, kind, text, state)`: kind is 'restart' (what was shown of this answer is void), 'token', 'reply' or 'error'; an
  // error's state, if there is one, is 'dead' or 'cancelled'.
  constructor(daemon, conversation, show) {
    Object.assign(this, { daemon, conversation, show });
    this.awaited = new Set();
    this.last = null;
    this.connection = null;
    this.running = false;
  }

  follow(id) {
    this.awaited.add(id);
    // the daemon is told which answers to show: the connection is made anew
    this.connection?.abort();
    if (!this.running) this.run();
  }

  forget(id) {
    this.awaited.delete(id);
    if (this.awaited.size === 0) this.connection?.abort();
  }

  async run() {
    this.running = true;
    let wait = FIRST_PAUSE;
    while (this.awaited.size > 0) {
      this.connection = new AbortController();
      const { signal } = this.connection;
      const heard = await this.listen(signal).catch(() => {
        if (!signal.aborted) this.daemon.tell('unreachable');
        return false;
      });
      if (signal.aborted) continue;
      wait = heard ? FIRST_PAUSE : Math.min(wait * 2, LONGEST_PAUSE);
      if (this.awaited.size > 0) await pause(wait, signal);
    }
    this.running = false;
  }

  // One connection, until it ends. True if anything came over it.
  async listen(signal) {
    // sixteen is what the daemon takes at once; the others come when these are answered
    const ids = [...this.awaited].slice(0, 16);
    const path = `api/conversations/${encodeURIComponent(this.conversation)}/events?message=${ids.map(encodeURIComponent).join(',')}`;
    const headers = { Accept: 'text/event-stream' };
    if (this.last) headers['Last-Event-ID'] = this.last;
    else ids.forEach((id) => this.show(id, 'restart', ''));
    const answer = await this.daemon.call(path, { headers, signal });
    if (answer.status === 401) {
      this.daemon.signOut();
      await pause(LONGEST_PAUSE, signal);
      return false;
    }
    if (!answer.ok) {
      this.daemon.tell(answer.status === 503 ? 'draining' : 'busy');
      return false;
    }
    this.daemon.tell('up');
    const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const reader = new EventReader();
    let heard = false;
    for (;;) {
      const { done, value } = await pieces.read();
      if (done) return heard;
      for (const event of reader.take(value)) {
        heard = true;
        this.take(event);
      }
    }
  }

  take(event) {
    const { message, text, state } = JSON.parse(event.data);
    if (event.id) {
      const run = (id) => id.split('-')[0];
      // another run of the daemon begins its answer anew
      if (this.last && run(this.last) !== run(event.id)) this.awaited.forEach((id) => this.show(id, 'restart', ''));
      this.last = event.id;
    }
    if (!this.awaited.has(message)) return;
    this.show(message, event.name, text, state);
    if (event.name === 'reply' || event.name === 'error') this.forget(message);
  }
}

if (typeof module !== 'undefined') module.exports = { EventReader, Daemon, Follower };
