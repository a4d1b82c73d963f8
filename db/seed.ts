/** What every installation needs before the first person comes: the agencies of the trade gateway and our own clients. */

import { openClients, saveClient } from '../src/clients/client.ts';
import type { Config } from '../src/config.ts';
import type { Database } from '../src/database.ts';
import { saveAgency } from '../src/organisations/agency.ts';

// The agencies of INSW by their present names (domain 3.1), and its operator.
const agencies: [code: string, name: string, name_en: string][] = [
  ['LNSW', 'Lembaga National Single Window', 'Indonesia National Single Window Agency'],
  ['KEMENDAG', 'Kementerian Perdagangan', 'Ministry of Trade'],
  ['BARANTIN', 'Badan Karantina Indonesia', 'Indonesian Quarantine Authority'],
  ['BPOM', 'Badan Pengawas Obat dan Makanan', 'Indonesian Food and Drug Authority'],
  ['KEMENPERIN', 'Kementerian Perindustrian', 'Ministry of Industry'],
  ['ESDM', 'Kementerian Energi dan Sumber Daya Mineral', 'Ministry of Energy and Mineral Resources'],
  ['BAPETEN', 'Badan Pengawas Tenaga Nuklir', 'Nuclear Energy Regulatory Agency'],
  ['KEMENHUT', 'Kementerian Kehutanan', 'Ministry of Forestry'],
  ['KOMDIGI', 'Kementerian Komunikasi dan Digital', 'Ministry of Communication and Digital Affairs'],
  ['KEMENTAN', 'Kementerian Pertanian', 'Ministry of Agriculture'],
  ['KEMENKES', 'Kementerian Kesehatan', 'Ministry of Health'],
  ['POLRI', 'Kepolisian Negara Republik Indonesia', 'Indonesian National Police'],
  ['KLH', 'Kementerian Lingkungan Hidup', 'Ministry of Environment'],
  ['KEMHAN', 'Kementerian Pertahanan', 'Ministry of Defence'],
  ['KEMENHUB', 'Kementerian Perhubungan', 'Ministry of Transportation'],
  ['BI', 'Bank Indonesia', 'Bank Indonesia'],
  ['DJBC', 'Direktorat Jenderal Bea dan Cukai', 'Directorate General of Customs and Excise'],
];

/** Writes what is missing, and our own clients as they are now; what officers changed stays. */
export async function seed(db: Database, config: Config): Promise<void> {
  for (const [code, name, name_en] of agencies) await saveAgency(db, { code, name, name_en });
  const clients = openClients(db, config);
  await saveClient(clients, ownClient(config, 'portal', '/portal'));
  await saveClient(clients, ownClient(config, 'console', '/admin'));
}

/** Portal and console are clients of the engine like the others, except that they need neither a code nor a token (DESIGN 1.5). */
function ownClient({ url, secure }: Config, id: string, home: string) {
  return {
    id,
    origin: 'own' as const,
    first_party: true,
    metadata: {
      client_name: 'Gapura',
      client_uri: `${url}${home}`,
      // Only https counts as such an address (OpenID Connect Core 4).
      ...(secure ? { initiate_login_uri: `${url}${home}` } : {}),
      redirect_uris: [`${url}${home}/entry`],
      post_logout_redirect_uris: [`${url}/`],
      response_types: ['none'],
      grant_types: [],
      token_endpoint_auth_method: 'none',
    },
  };
}
