/** The certificate by which a program proved itself to the proxy in front (RFC 8705): told by that proxy alone, gone from every other request. */

import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '../config.ts';

/** What a trusted proxy told. Nobody has read it yet: it may be no certificate at all. */
export interface ToldCertificate {
  /** PEM, URL-encoded. */
  pem: string;
  /** The proxy found that an authority of its own list issued it, and that it is valid today. */
  is_verified: boolean;
}

type CertificateSettings = Pick<Config, 'client_certificate_header' | 'client_certificate_verdict_header'>;

/**
 * Makes what takes both headers out of a request, and gives what they say only if they come from a trusted proxy. A header
 * that was sent twice reaches us joined by commas, and no certificate reads like that.
 */
export function certificateTaker(
  config: CertificateSettings,
): (headers: IncomingHttpHeaders, is_from_proxy: boolean) => ToldCertificate | undefined {
  const { client_certificate_header: name, client_certificate_verdict_header: verdict } = config;
  return (headers, is_from_proxy) => {
    const pem = name ? headers[name] : undefined;
    const said = verdict ? headers[verdict] : undefined;
    if (name) delete headers[name];
    if (verdict) delete headers[verdict];
    if (!is_from_proxy || typeof pem !== 'string' || pem === '') return undefined;
    return { pem, is_verified: said === 'SUCCESS' };
  };
}
