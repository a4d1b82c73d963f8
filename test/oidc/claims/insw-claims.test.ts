/** The shape of today's SSO INSW, field by field: for a trader, a company's administrator and an officer. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as oidc from 'openid-client';
import { demo_password, registerClient, startGapura, type TestGapura } from '../../support/gapura.ts';
import { newHttpVisitor } from '../../support/http.ts';
import { findAccountId } from '../../support/nodes.ts';
import { authorize, openParty, type TestParty } from '../../support/relying-party.ts';

let gapura: TestGapura;
let party: TestParty;

const everything = 'openid profile email phone address organization role';
const insw = { claim_shape: 'insw' } as const;

beforeAll(async () => {
  gapura = await startGapura();
  party = await openParty(gapura.config.issuer, await registerClient(gapura, 'lama', insw), everything);
});

afterAll(() => gapura.stop());

async function tell(identifier: string, parameters = {}, who = party) {
  const { address, checks } = await who.begin(parameters);
  const answers = { identifier, password: demo_password };
  const returned = await authorize(newHttpVisitor(gapura.url), address, who.redirect_uri, answers);
  const tokens = await who.redeem(returned, checks);
  const id_token = tokens.claims() as Record<string, unknown>;
  const userinfo = await oidc.fetchUserInfo(who.configuration, tokens.access_token, String(id_token.sub));
  return { id_token, userinfo: userinfo as Record<string, unknown> };
}

/** The three claims of the shape. */
const shaped = ({ profile, role, organization }: Record<string, unknown>) => ({ profile, role, organization });

async function company() {
  const row = gapura.db.selectFrom('organisations').selectAll().where('npwp', '=', '0000001016000000');
  const { id, name, nib, npwp, address, city, postal_code, phone_number, fax_number } =
    await row.executeTakeFirstOrThrow();
  return {
    details: { id, name, active: true },
    address: { address, city, postal_code },
    nib,
    npwp,
    contact: { phone_number, fax_number },
  };
}

describe('with all scopes', () => {
  test('Budi is a trader of his company', async () => {
    const { userinfo } = await tell('budi');
    const sub = await findAccountId(gapura, 'budi');
    expect(shaped(userinfo)).toEqual({
      profile: {
        details: {
          id: sub,
          full_name: 'Budi Contoh Santoso',
          username: 'budi',
          position: 'Penanggung jawab',
          active: true,
          verified: true,
          admin: false,
        },
        address: { address: 'Jalan Melati Contoh Nomor 5', city: 'Jakarta Selatan', postal_code: '12110' },
        contact: { mobile_phone: '+6281200000101', phone_number: '(021) 5000-111', email: 'budi@contoh.example' },
        email: 'budi@contoh.example',
      },
      role: { name: 'trader', level: expect.any(Number) },
      organization: await company(),
    });
    // What the standard names stands beside it, so that an application can move over claim by claim.
    expect(userinfo).toMatchObject({ sub, preferred_username: 'budi', email: 'budi@contoh.example' });
  });

  test('Sari administers it, and what is not known of her is left out', async () => {
    const { userinfo } = await tell('sari');
    expect(shaped(userinfo)).toEqual({
      profile: {
        details: {
          id: await findAccountId(gapura, 'sari'),
          full_name: 'Sari Contoh Wulandari',
          username: 'sari',
          position: 'Administrator perusahaan',
          active: true,
          verified: true,
          admin: false,
        },
        address: { city: 'Jakarta Pusat' },
        contact: { mobile_phone: '+6281200000102', email: 'sari@contoh.example' },
        email: 'sari@contoh.example',
      },
      role: { name: 'company_administrator', level: expect.any(Number) },
      organization: await company(),
    });
  });

  test('an officer is known by the agency', async () => {
    const { userinfo } = await tell('petugas');
    expect(shaped(userinfo)).toEqual({
      profile: {
        details: {
          id: await findAccountId(gapura, 'petugas'),
          full_name: 'Petugas Contoh Lestari',
          username: 'petugas',
          active: true,
          verified: true,
          kd_ga: 'BPOM',
          ur_ga: 'Badan Pengawas Obat dan Makanan',
          kd_detail_ga: 'BPOM',
          admin: false,
        },
        contact: { mobile_phone: '+6281200000104', email: 'petugas@contoh.example' },
        email: 'petugas@contoh.example',
      },
      role: { kd_ga: 'BPOM', name: 'agency_officer', level: expect.any(Number) },
      organization: undefined,
    });
  });

  test('an administrator is said to be one', async () => {
    const { userinfo } = await tell('admin');
    expect(userinfo.profile).toMatchObject({ details: { admin: true } });
    expect(userinfo.profile).not.toHaveProperty('details.kd_ga');
  });
});

describe('nothing goes beyond the scopes', () => {
  test('with openid alone there is none of it', async () => {
    const { userinfo, id_token } = await tell('petugas', { scope: 'openid' });
    expect(Object.keys(userinfo)).toEqual(['sub']);
    expect(shaped(id_token)).toEqual({});
  });

  test('with profile there is neither contact, address, role nor agency', async () => {
    const { userinfo, id_token } = await tell('petugas', { scope: 'openid profile' });
    expect(shaped(userinfo)).toEqual({
      profile: {
        details: {
          id: id_token.sub,
          full_name: 'Petugas Contoh Lestari',
          username: 'petugas',
          active: true,
          verified: true,
        },
        // As `mobile_number` in the standard shape.
        contact: { mobile_phone: '+6281200000104' },
      },
    });
    // In the ID token scopes bring little (OpenID Connect Core 5.4).
    expect(shaped(id_token)).toEqual({});
  });

  test.each([
    ['email', 'profile.email'],
    ['phone', 'profile.contact.phone_number'],
    ['address', 'profile.address.city'],
    ['role', 'role.name'],
    ['organization', 'organization.nib'],
  ])('%s alone adds its part', async (scope, path) => {
    const { userinfo } = await tell('budi', { scope: `openid profile ${scope}` });
    expect(userinfo).toHaveProperty(path);
    const { userinfo: without } = await tell('budi', {
      scope: everything.replace(` ${scope}`, ''),
    });
    expect(without).not.toHaveProperty(path);
  });
});

test('asked for by name they stand in the ID token, in the same shape', async () => {
  const claims = JSON.stringify({ id_token: { profile: null, role: null, organization: null } });
  const { id_token, userinfo } = await tell('budi', { claims });
  expect(shaped(id_token)).toEqual(shaped(userinfo));
  expect(id_token).toHaveProperty('profile.details.username', 'budi');
});

test('who must not be recognised elsewhere has the same other name in it', async () => {
  const metadata = { subject_type: 'pairwise' };
  const client = await registerClient(gapura, 'samar', { ...insw, metadata });
  const other = await openParty(gapura.config.issuer, client, everything);
  const { userinfo } = await tell('budi', {}, other);
  const account_id = await findAccountId(gapura, 'budi');
  expect(userinfo.sub).not.toBe(account_id);
  expect(userinfo).toHaveProperty('profile.details.id', userinfo.sub);
  expect(JSON.stringify(userinfo)).not.toContain(account_id);
});

test('a client that did not ask for it is told in the standard shape alone', async () => {
  const plain = await openParty(gapura.config.issuer, await registerClient(gapura, 'baru'), everything);
  const claims = JSON.stringify({ userinfo: { profile: null }, id_token: { profile: null } });
  const { userinfo, id_token } = await tell('budi', { claims }, plain);
  expect(userinfo).not.toHaveProperty('profile');
  expect(id_token).not.toHaveProperty('profile');
  expect(userinfo).toMatchObject({ role: [{ name: 'trader' }], organization: { npwp: '0000001016000000' } });
  const { claims_supported } = plain.configuration.serverMetadata();
  expect(claims_supported).not.toContain('profile');
});
