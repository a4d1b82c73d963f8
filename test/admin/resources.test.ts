/** Every resource of the console and its interface keeps the promises of its kind; whoever adds one adds a case. */

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { resources } from '../../src/admin/resource.ts';
import { accounts } from '../../src/admin/resources/accounts.ts';
import { agencies } from '../../src/admin/resources/agencies.ts';
import { applications } from '../../src/admin/resources/applications.ts';
import { approvals } from '../../src/admin/resources/approvals.ts';
import { audit } from '../../src/admin/resources/audit.ts';
import { clients } from '../../src/admin/resources/clients.ts';
import { directorates } from '../../src/admin/resources/directorates.ts';
import { initialAccessTokens } from '../../src/admin/resources/initial-access-tokens.ts';
import { links } from '../../src/admin/resources/links.ts';
import { mails } from '../../src/admin/resources/mails.ts';
import { memberships } from '../../src/admin/resources/memberships.ts';
import { organisations } from '../../src/admin/resources/organisations.ts';
import { policies } from '../../src/admin/resources/policies.ts';
import { resourceServers } from '../../src/admin/resources/resource-servers.ts';
import { roles } from '../../src/admin/resources/roles.ts';
import { signingKeys } from '../../src/admin/resources/signing-keys.ts';
import { submissions } from '../../src/admin/resources/submissions.ts';
import { saveApplication } from '../../src/applications/application.ts';
import { askApproval } from '../../src/approvals.ts';
import { submissionSchema, submitClient } from '../../src/clients/submissions.ts';
import { inTransaction } from '../../src/database.ts';
import { sendMail } from '../../src/delivery/outbox.ts';
import { addRequest } from '../../src/links/requests.ts';
import type { KeyAlgorithm } from '../../src/oidc/keys/key-pairs.ts';
import { publishKey, removeKey } from '../../src/oidc/keys/signing-keys.ts';
import { addMembership } from '../../src/organisations/directorate.ts';
import { findOrganisation, saveOrganisation } from '../../src/organisations/organisation.ts';
import { listRoles } from '../../src/permissions.ts';
import { type Askers, openAskers, type ResourceCase, testResource } from '../contracts/resource.ts';
import { addOfficer } from '../support/desk.ts';
import { registerClient, startGapura, type TestGapura } from '../support/gapura.ts';
import { registerApi } from '../support/resource-servers.ts';

let gapura: TestGapura;
let askers: Askers;

beforeAll(async () => {
  gapura = await startGapura();
  askers = await openAskers(gapura);
});

afterAll(() => gapura.stop());

const npwpOf = (at: number) => `0990${String(at).padStart(12, '0')}`;
const codeOf = (at: number) => `K${String(at).padStart(4, '0')}`;

async function addOrganisation({ db }: TestGapura, at: number): Promise<string> {
  return (await saveOrganisation(db, { name: `PT Kontrak ${at}`, npwp: npwpOf(at) })).id;
}

async function addDirectorate(_gapura: TestGapura, at: number): Promise<string> {
  const made = await askers.admin('POST', '/directorates', { agency_code: 'BPOM', code: codeOf(at), name: `D ${at}` });
  expect(made.status).toBe(201);
  return made.body.id;
}

const describeApplication = (at: number) => ({
  agency_code: 'BPOM',
  name: `Aplikasi ${at}`,
  about: `Guna ${at}`,
  about_en: `Use ${at}`,
  url: `http://kontrak-${at}.localhost:4999/`,
});

async function addApplication({ db }: TestGapura, at: number): Promise<string> {
  await saveApplication(db, { id: `kontrak-${at}`, ...describeApplication(at) });
  return `kontrak-${at}`;
}

/** There is one next key of each algorithm at most. */
async function removeNext({ db, config }: TestGapura, alg: KeyAlgorithm): Promise<void> {
  const next = db.selectFrom('signing_keys').select('kid').where('alg', '=', alg).where('state', '=', 'next');
  const row = await next.executeTakeFirst();
  if (row) await inTransaction(db, (tx) => removeKey(tx, config, row.kid));
}

async function publishAnew(gapura: TestGapura, alg: KeyAlgorithm): Promise<string> {
  await removeNext(gapura, alg);
  return (await inTransaction(gapura.db, (tx) => publishKey(tx, gapura.config, alg))).kid;
}

const cases: ResourceCase[] = [
  {
    resource: organisations,
    make: addOrganisation,
    creation: async (_gapura, at) => ({ name: `PT Baru ${at}`, npwp: npwpOf(at), time_zone: 'Asia/Jakarta' }),
    change: (at) => ({ name: `PT Ganti ${at}` }),
  },
  {
    resource: resourceServers,
    make: async (gapura, at) => (await registerApi(gapura, `kontrak-${at}`)).id,
    creation: async (_gapura, at) => ({
      identifier: `https://api-${at}.example.go.id/v1`,
      agency_code: 'BPOM',
      name: `API ${at}`,
      token_format: 'opaque',
      token_lifetime: 600,
      signing_alg: 'ES256',
    }),
    change: (at) => ({ name: `API ganti ${at}`, token_format: 'jwt', token_lifetime: 60, signing_alg: 'EdDSA' }),
  },
  {
    resource: memberships,
    async make(gapura, at) {
      const [organisation, directorate] = [await addOrganisation(gapura, at), await addDirectorate(gapura, at)];
      await addMembership(gapura.db, organisation, directorate);
      return `${organisation}.${directorate}`;
    },
    creation: async (gapura, at) => ({
      organisation_id: await addOrganisation(gapura, at),
      directorate_id: await addDirectorate(gapura, at),
    }),
  },
  {
    resource: agencies,
    async make(_gapura, at) {
      await askers.admin('POST', '/agencies', { code: codeOf(at), name: `Badan ${at}`, name_en: `Agency ${at}` });
      return codeOf(at);
    },
    creation: async (_gapura, at) => ({ code: codeOf(at), name: `Badan ${at}`, name_en: `Agency ${at}` }),
    change: (at) => ({ name: `Badan Ganti ${at}` }),
  },
  {
    resource: directorates,
    make: addDirectorate,
    creation: async (_gapura, at) => ({ agency_code: 'BPOM', code: codeOf(at), name: `Direktorat ${at}` }),
    change: (at) => ({ name: `Direktorat Ganti ${at}` }),
  },
  {
    resource: clients,
    make: async (gapura, at) => (await registerClient(gapura, `kontrak-${at}`, { agency_code: 'BPOM' })).client_id,
    creation: async (_gapura, at) => ({
      client_id: `kontrak-baru-${at}`,
      client_name: `Aplikasi ${at}`,
      agency_code: 'BPOM',
      redirect_uris: [`https://kontrak-${at}.example/kembali`],
    }),
    change: (at) => ({ client_name: `Aplikasi Ganti ${at}` }),
  },
  {
    resource: accounts,
    make: (gapura, at) => addOfficer(gapura, `kontrak_${at}`, 'agency_officer', { agency_code: 'BPOM' }),
    change: (at) => ({ full_name: `Orang Ganti ${at}` }),
  },
  {
    resource: roles,
    async make(gapura, at) {
      const account_id = await addOfficer(gapura, `kontrak_${at}`, 'agency_officer', { agency_code: 'BPOM' });
      return (await listRoles(gapura.db, account_id))[0]?.id as string;
    },
    async creation(gapura, at) {
      await addOfficer(gapura, `kontrak_${at}`, undefined);
      return { account: `kontrak_${at}`, role: 'agency_officer', agency_code: 'BPOM', level: 1 };
    },
  },
  {
    resource: applications,
    make: addApplication,
    creation: async (_gapura, at) => ({ ...describeApplication(at), id: `kontrak-baru-${at}` }),
    change: (at) => ({ name: `Aplikasi Ganti ${at}` }),
  },
  {
    resource: links,
    async make(gapura, at) {
      const account_id = await addOfficer(gapura, `pembukti_${at}`, undefined);
      const name = { subject: `s${at}`, username: `nama_${at}`, display_name: null, directorate: null };
      const application_id = await addApplication(gapura, at);
      await inTransaction(gapura.db, (tx) => addRequest(tx, account_id, application_id, name as never));
      const rows = gapura.db.selectFrom('link_requests').select('id').where('account_id', '=', account_id);
      return (await rows.executeTakeFirstOrThrow()).id;
    },
  },
  {
    resource: initialAccessTokens,
    async make() {
      const made = await askers.admin('POST', '/initial-access-tokens', { days: 7, clients: 1 });
      expect(made.status).toBe(201);
      return made.body.id;
    },
    creation: async () => ({ days: 7, clients: 1 }),
  },
  {
    resource: submissions,
    async make(gapura, at) {
      const account_id = await addOfficer(gapura, `pengembang_${at}`, 'developer', { agency_code: 'BPOM' });
      const values = submissionSchema.parse({
        client_name: `Usulan ${at}`,
        preset: 'web_server',
        redirect_uris: [`https://usulan-${at}.example/kembali`],
        scope: ['openid'],
      });
      const asked = {
        account_id,
        agency_code: 'BPOM',
        request: { address: '::1', user_agent: 'uji', request_id: 'r' },
      };
      const { db, gapura: running } = gapura;
      await inTransaction(db, (tx) => submitClient(tx, running.jobs, asked, values, async () => undefined));
      const rows = db.selectFrom('client_submissions').select('id').where('submitted_by', '=', account_id);
      return (await rows.executeTakeFirstOrThrow()).id;
    },
  },
  {
    resource: policies,
    make: async () => 'mail.retention',
    change: (at) => ({ value: 864_000 + at, because: 'Uji kontrak' }),
    derived: ['amount', 'amount_unit', 'is_set', 'changed_at', 'changed_by'],
  },
  {
    resource: signingKeys,
    make: (gapura) => publishAnew(gapura, 'EdDSA'),
    async creation(gapura) {
      await removeNext(gapura, 'ES256');
      return { alg: 'ES256' };
    },
  },
  {
    resource: mails,
    async make({ db, gapura: running }, at) {
      const sent = await inTransaction(db, (tx) =>
        sendMail(tx, running.jobs, {
          account_id: null,
          to: `kontrak_${at}@contoh.example`,
          language: 'id',
          template: 'link_removed',
          values: { name: 'A', application: 'B', username: 'c', time: 'd', support: 'e' },
        }),
      );
      const id = sent.state === 'queued' ? sent.mail_id : '';
      const over = { given_up_at: sql<Date>`gapura_now()`, because: 'uji' };
      await db.updateTable('mails').set(over).where('id', '=', id).execute();
      return id;
    },
  },
  {
    resource: approvals,
    async make({ db, config }, at) {
      const id = (await findOrganisation(db, '0000001016000000'))?.id ?? null;
      const asked_by = await addOfficer({ db }, `pemohon_${at}`, 'agency_officer', { agency_code: 'BPOM' });
      return inTransaction(db, (tx) =>
        askApproval(tx, config, {
          resource: 'organisations',
          entry_id: id ?? randomUUID(),
          entry_version: 1,
          operation: 'change',
          input: { name: 'PT Lain' },
          fields: ['name'],
          asked_by,
          because: 'Uji',
        }),
      );
    },
  },
  {
    resource: audit,
    async make({ db }) {
      const row = await db.selectFrom('audit_events').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst();
      return String(row?.id);
    },
  },
];

test('every resource has its case here', () => {
  const covered = cases.map(({ resource }) => resource.name);
  expect(resources.map(({ name }) => name).filter((name) => !covered.includes(name))).toEqual([]);
});

// What is not served yet has nothing to promise.
for (const one of cases.filter(({ resource }) => resources.includes(resource)))
  testResource(one, () => ({ gapura, askers }));
