/** The demonstration's people, clients and applications; invented, and written through the same code as real ones. */

import type { Insertable } from 'kysely';
import { createAccount } from '../accounts/account.ts';
import { canonicalise } from '../accounts/identifiers.ts';
import { saveApplication } from '../applications/application.ts';
import { type ClientRegistration, type ClientStore, saveClient } from '../clients/client.ts';
import { addClientSecret } from '../clients/secrets.ts';
import { now } from '../clock.ts';
import { type Database, inTransaction } from '../database.ts';
import { addPerson } from '../organisations/organisation.ts';
import { grantRole, type Role } from '../permissions.ts';
import { saveProvenAddress } from '../recovery/addresses.ts';
import type { Applications } from '../tables.ts';
import { type organisations, seedCompanies } from './companies.ts';

/** Everybody's password at Gapura, at e-BPOM and at CargoLink. */
export const demo_password = 'Pintu-Terbuka-2026!';
export const e_bpom_password = 'Ebpom-Demo-2026!';
export const cargolink_password = 'Cargo-Demo-2026!';

interface DemoPerson {
  username: string;
  full_name: string;
  /** In the demonstration's population registry; province 99 does not exist. */
  nik: string;
  mother_name: string;
  email: string;
  mobile_number: string;
  role: Role;
  agency_code?: string;
  organisation?: keyof typeof organisations;
  position?: string;
  address?: string;
  city?: string;
  postal_code?: string;
  phone_number?: string;
  fax_number?: string;
  expires_in_months?: number;
  /** Proven; whoever has none meets the page of those who cannot recover alone. */
  recovery_address?: string;
}

export const people: DemoPerson[] = [
  {
    username: 'budi',
    full_name: 'Budi Contoh Santoso',
    nik: '9901010501900001',
    mother_name: 'Ibu Contoh Satu',
    email: 'budi@contoh.example',
    mobile_number: '+6281200000101',
    role: 'trader',
    organisation: 'pangan',
    position: 'Penanggung jawab',
    address: 'Jalan Melati Contoh Nomor 5',
    city: 'Jakarta Selatan',
    postal_code: '12110',
    phone_number: '(021) 5000-111',
    fax_number: '(021) 5000-112',
    expires_in_months: 10,
  },
  {
    username: 'sari',
    full_name: 'Sari Contoh Wulandari',
    nik: '9901014501900002',
    mother_name: 'Ibu Contoh Dua',
    email: 'sari@contoh.example',
    recovery_address: 'sari.wulandari@surat.example',
    mobile_number: '+6281200000102',
    role: 'company_administrator',
    organisation: 'pangan',
    position: 'Administrator perusahaan',
    city: 'Jakarta Pusat',
  },
  {
    username: 'tono',
    full_name: 'Tono Contoh Prasetyo',
    nik: '9902020203910003',
    mother_name: 'Ibu Contoh Tiga',
    email: 'tono@contoh.example',
    mobile_number: '+6281200000103',
    role: 'trader',
    organisation: 'kosmetika',
    position: 'Penanggung jawab',
    city: 'Surabaya',
  },
  {
    username: 'petugas',
    full_name: 'Petugas Contoh Lestari',
    nik: '9903034404880004',
    mother_name: 'Ibu Contoh Empat',
    email: 'petugas@contoh.example',
    mobile_number: '+6281200000104',
    role: 'agency_officer',
    agency_code: 'BPOM',
  },
  {
    username: 'layanan',
    full_name: 'Layanan Contoh Hidayat',
    nik: '9904040505870005',
    mother_name: 'Ibu Contoh Lima',
    email: 'layanan@contoh.example',
    mobile_number: '+6281200000105',
    role: 'service_desk',
  },
  {
    username: 'pengembang',
    full_name: 'Pengembang Contoh Saputra',
    nik: '9906060707890007',
    mother_name: 'Ibu Contoh Tujuh',
    email: 'pengembang@contoh.example',
    mobile_number: '+6281200000107',
    role: 'developer',
    agency_code: 'BPOM',
  },
  {
    username: 'admin',
    full_name: 'Admin Contoh Nugroho',
    nik: '9905050606860006',
    mother_name: 'Ibu Contoh Enam',
    email: 'admin@contoh.example',
    mobile_number: '+6281200000106',
    role: 'administrator',
  },
];

/** Brings the companies and directorates up to date and adds the people that are missing. */
export async function seedPeople(db: Database): Promise<void> {
  const organisation_ids = await seedCompanies(db);
  // All of a person or nothing: a start that is cut short leaves nobody without company and role.
  for (const person of people) await inTransaction(db, (tx) => seedPerson(tx, person, organisation_ids));
}

async function seedPerson(db: Database, person: DemoPerson, organisation_ids: Map<string, string>): Promise<void> {
  const known = await db
    .selectFrom('account_identifiers')
    .select('account_id')
    .where('canonical', '=', canonicalise(person.username))
    .executeTakeFirst();
  if (known) return;
  const { username, full_name, email, mobile_number } = person;
  const account = await createAccount(db, {
    username,
    password: demo_password,
    full_name,
    email,
    email_verified: true,
    mobile_number,
    mobile_number_verified: true,
    phone_number: person.phone_number ?? null,
    fax_number: person.fax_number ?? null,
    address: person.address ?? null,
    city: person.city ?? null,
    postal_code: person.postal_code ?? null,
    expires_at: person.expires_in_months === undefined ? null : inMonths(person.expires_in_months),
  });
  if (person.recovery_address) await saveProvenAddress(db, account.id, person.recovery_address);
  const organisation_id = person.organisation && organisation_ids.get(person.organisation);
  if (organisation_id) await addPerson(db, account.id, organisation_id, person.position);
  await grantRole(db, account.id, person.role, {
    ...(person.agency_code ? { agency_code: person.agency_code } : {}),
    ...(organisation_id ? { organisation_id } : {}),
  });
}

function inMonths(months: number): Date {
  const date = now();
  date.setUTCMonth(date.getUTCMonth() + months, 1);
  return date;
}

/** Where the demonstration's applications are; they are registered with these addresses. */
export interface DemoAddresses {
  e_bpom: string;
  cargolink: string;
  portal_insw: string;
}

/** The clients `e-bpom` and `portal-insw`. */
export function demoClients({ e_bpom, portal_insw }: DemoAddresses): ClientRegistration[] {
  const common = (url: string) => ({
    client_uri: `${url}/`,
    redirect_uris: [`${url}/callback`],
    post_logout_redirect_uris: [`${url}/signed-out`],
    backchannel_logout_uri: `${url}/backchannel-logout`,
    backchannel_logout_session_required: true,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
  });
  const scope = 'openid profile email phone address organization role';
  return [
    {
      id: 'e-bpom',
      agency_code: 'BPOM',
      first_party: true,
      directorate_required: true,
      metadata: { ...common(e_bpom), client_name: 'e-BPOM', scope: `${scope} directorate linked_account` },
    },
    {
      id: 'portal-insw',
      agency_code: 'LNSW',
      first_party: true,
      metadata: { ...common(portal_insw), client_name: 'Portal INSW', scope },
    },
  ];
}

/** Registers the demonstration's clients, each with its secret, through the engine's own validation. */
export async function seedClients(
  store: ClientStore,
  addresses: DemoAddresses,
  secret: (client_id: string) => string,
  validate: (metadata: Record<string, unknown>) => Promise<void>,
): Promise<void> {
  for (const client of demoClients(addresses)) {
    await saveClient(store, client, validate);
    await addClientSecret(store, client.id, secret(client.id));
  }
}

/** The rows of the table of applications. CargoLink has no client, and neither it nor Portal INSW can be asked for links. */
export function demoApplications({ e_bpom, cargolink, portal_insw }: DemoAddresses): Insertable<Applications>[] {
  return [
    {
      id: 'e-bpom',
      agency_code: 'BPOM',
      name: 'e-BPOM',
      about: 'Rekomendasi ekspor dan impor obat, kosmetik, dan pangan',
      about_en: 'Export and import recommendations for drugs, cosmetics and food',
      url: `${e_bpom}/`,
      client_id: 'e-bpom',
      verifier: 'http',
      verifier_settings: JSON.stringify({
        endpoint: `${e_bpom}/gapura/verification`,
        notices_jwks_uri: `${e_bpom}/jwks`,
        private_hosts: [new URL(e_bpom).host],
      }),
    },
    {
      id: 'cargolink',
      agency_code: 'KEMENHUB',
      name: 'CargoLink',
      about: 'Pemantauan kiriman dan peti kemas di pelabuhan',
      about_en: 'Following shipments and containers in the ports',
      url: `${cargolink}/`,
      client_id: null,
      verifier: null,
      verifier_settings: '{}',
    },
    {
      id: 'portal-insw',
      agency_code: 'LNSW',
      name: 'Portal INSW',
      about: 'Profil perusahaan dan manifes di Indonesia National Single Window',
      about_en: 'Company profile and manifests at the Indonesia National Single Window',
      url: `${portal_insw}/`,
      client_id: 'portal-insw',
      verifier: null,
      verifier_settings: '{}',
    },
  ];
}

/** Writes the demonstration's applications; their clients must be there. */
export async function seedApplications(db: Database, addresses: DemoAddresses): Promise<void> {
  for (const application of demoApplications(addresses)) await saveApplication(db, application);
}
