// RFC 8291, its aesgcm draft and RFC 8292 written once more, on nothing but Node's own crypto.
// An array of jobs on standard input, an array of results on standard output; octets are base64url.
'use strict';

const crypto = require('crypto');

const octets = text => Buffer.from(text, 'base64url');
const hkdf = (salt, ikm, info, length) => Buffer.from(crypto.hkdfSync('sha256', ikm, salt, info, length));
const label = (name, ...rest) => Buffer.concat([Buffer.from(`Content-Encoding: ${name}\0`), ...rest]);
const sized = key => Buffer.concat([Buffer.from([0, key.length]), key]);

function keysOf(job, ecdh, other, salt, asPublic) {
  const secret = ecdh.computeSecret(other);
  const auth = octets(job.auth);
  const uaPublic = octets(job.uaPublic);
  if (job.encoding === 'aes128gcm') {
    const info = Buffer.concat([Buffer.from('WebPush: info\0'), uaPublic, asPublic]);
    const ikm = hkdf(auth, secret, info, 32);
    return [hkdf(salt, ikm, label('aes128gcm'), 16), hkdf(salt, ikm, label('nonce'), 12)];
  }
  const ikm = hkdf(auth, secret, label('auth'), 32);
  const context = Buffer.concat([Buffer.from('P-256\0'), sized(uaPublic), sized(asPublic)]);
  return [hkdf(salt, ikm, label('aesgcm', context), 16), hkdf(salt, ikm, label('nonce', context), 12)];
}

function curve(privateKey) {
  const ecdh = crypto.createECDH('prime256v1');
  if (privateKey === undefined) ecdh.generateKeys();
  else ecdh.setPrivateKey(octets(privateKey));
  return ecdh;
}

function open(job) {
  const modern = job.encoding === 'aes128gcm';
  const body = octets(job.body);
  const salt = modern ? body.subarray(0, 16) : octets(job.salt);
  const asPublic = modern ? body.subarray(21, 86) : octets(job.asPublic);
  const record = modern ? body.subarray(86) : body;
  const [key, nonce] = keysOf(job, curve(job.uaPrivate), asPublic, salt, asPublic);
  const decipher = crypto.createDecipheriv('aes-128-gcm', key, nonce);
  decipher.setAuthTag(record.subarray(-16));
  const padded = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()]);
  if (!modern) return {plaintext: padded.subarray(2 + padded.readUInt16BE(0)).toString('base64url')};
  let end = padded.length - 1;
  while (padded[end] === 0) end -= 1;
  if (padded[end] !== 2) throw new Error('delimiter');
  return {plaintext: padded.subarray(0, end).toString('base64url')};
}

function seal(job) {
  const modern = job.encoding === 'aes128gcm';
  const ecdh = curve();
  const asPublic = ecdh.getPublicKey();
  const salt = crypto.randomBytes(16);
  const [key, nonce] = keysOf(job, ecdh, octets(job.uaPublic), salt, asPublic);
  const padding = Buffer.alloc(job.padding);
  const cipher = crypto.createCipheriv('aes-128-gcm', key, nonce);
  const text = octets(job.plaintext);
  const size = Buffer.from([job.padding >> 8, job.padding & 255]);
  const padded = modern ? Buffer.concat([text, Buffer.from([2]), padding]) : Buffer.concat([size, padding, text]);
  const record = Buffer.concat([cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
  const header = modern ? Buffer.concat([salt, Buffer.from([0, 0, 16, 0, 65]), asPublic]) : Buffer.alloc(0);
  return {
    body: Buffer.concat([header, record]).toString('base64url'),
    salt: salt.toString('base64url'),
    asPublic: asPublic.toString('base64url'),
  };
}

function verify(job) {
  const point = octets(job.public);
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
  };
  const [header, claims, signature] = job.token.split('.');
  const key = {key: crypto.createPublicKey({key: jwk, format: 'jwk'}), dsaEncoding: 'ieee-p1363'};
  const holds = crypto.verify('sha256', Buffer.from(`${header}.${claims}`), key, octets(signature));
  return {holds, header: JSON.parse(octets(header)), claims: JSON.parse(octets(claims))};
}

function sign(job) {
  const {privateKey, publicKey} = crypto.generateKeyPairSync('ec', {namedCurve: 'prime256v1'});
  const {x, y} = publicKey.export({format: 'jwk'});
  const parts = [{typ: 'JWT', alg: 'ES256'}, job.claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url'));
  const signature = crypto.sign('sha256', Buffer.from(parts.join('.')), {key: privateKey, dsaEncoding: 'ieee-p1363'});
  const point = Buffer.concat([Buffer.from([4]), octets(x), octets(y)]).toString('base64url');
  return {header: `vapid t=${parts.join('.')}.${signature.toString('base64url')}, k=${point}`};
}

// A private key in every form Node writes it, and the public key Node derives from it.
function keys() {
  const {privateKey, publicKey} = crypto.generateKeyPairSync('ec', {namedCurve: 'prime256v1'});
  const jwk = privateKey.export({format: 'jwk'});
  const {x, y} = publicKey.export({format: 'jwk'});
  return {
    pkcs8: privateKey.export({format: 'pem', type: 'pkcs8'}),
    sec1: privateKey.export({format: 'pem', type: 'sec1'}),
    der: privateKey.export({format: 'der', type: 'pkcs8'}).toString('base64url'),
    jwk,
    public: Buffer.concat([Buffer.from([4]), octets(x), octets(y)]).toString('base64url'),
  };
}

const VERBS = {open, seal, verify, sign, keys};

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const jobs = JSON.parse(Buffer.concat(chunks).toString());
  process.stdout.write(JSON.stringify(jobs.map(job => VERBS[job.verb](job))));
}

main();
