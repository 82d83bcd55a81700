// Uploads a file with tus-js-client, as the website does: node tus_upload.mjs '{"endpoint", "file", "path", …}'.
// With "stopAfter" it breaks the connection off after so many bytes; with "url" it goes on with an upload.
import { readFileSync } from 'node:fs'
import * as tus from 'tus-js-client'

const wish = JSON.parse(process.argv[2])
const bytes = readFileSync(wish.file)
const seen = []

const upload = new tus.Upload(bytes, {
  endpoint: wish.endpoint,
  uploadUrl: wish.url ?? null,
  chunkSize: wish.chunkSize ?? Infinity,
  retryDelays: null,
  headers: wish.headers,
  metadata: { path: wish.path, filename: wish.path, filetype: 'text/csv' },
  overridePatchMethod: wish.overridePatchMethod ?? false,
  onProgress (sent) {
    seen.push(sent)
    if (wish.stopAfter !== undefined && sent >= wish.stopAfter) {
      upload.abort()
      finish({ stopped: sent, url: upload.url })
    }
  },
  onSuccess () { finish({ done: true, url: upload.url }) },
  onError (error) {
    finish({ status: error.originalResponse?.getStatus() ?? 0, body: error.originalResponse?.getBody() ?? String(error), url: upload.url })
  }
})

function finish (answer) {
  process.stdout.write(JSON.stringify({ ...answer, progress: seen.length }))
  setTimeout(() => process.exit(0), 10)
}

upload.start()
