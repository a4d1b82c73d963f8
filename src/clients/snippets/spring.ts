/** Settings for Spring Boot with Spring Security. */

import type { Snippet } from '../snippets.ts';
import { type Facts, quote } from './facts.ts';

/** The settings and the one class that they need; nothing for algorithms that Spring's library does not have. */
export function writeSpring(facts: Facts): Snippet[] {
  const settings = `spring:
  security:
    oauth2:
      client:
        registration:
          gapura:
            client-id: ${quote(facts.id)}
            client-secret: "\${GAPURA_CLIENT_SECRET}"
            client-authentication-method: ${facts.method}
            authorization-grant-type: authorization_code
            redirect-uri: ${quote(facts.returns)}
            scope: ${quote(facts.scope.split(' ').join(','))}
        provider:
          gapura:
            issuer-uri: ${quote(facts.issuer)}
            user-name-attribute: sub
`;
  // PKCE is asked of every client here, and the algorithm is not read from discovery there.
  const beans = `import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.oauth2.client.oidc.authentication.OidcIdTokenDecoderFactory;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.ClientRegistrationRepository;
import org.springframework.security.oauth2.client.web.DefaultOAuth2AuthorizationRequestResolver;
import org.springframework.security.oauth2.client.web.OAuth2AuthorizationRequestCustomizers;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.JwtDecoderFactory;
import org.springframework.security.web.SecurityFilterChain;

@Configuration
class GapuraSignIn {
  @Bean
  SecurityFilterChain gapura(HttpSecurity http, ClientRegistrationRepository clients) throws Exception {
    var requests = new DefaultOAuth2AuthorizationRequestResolver(clients, "/oauth2/authorization");
    requests.setAuthorizationRequestCustomizer(OAuth2AuthorizationRequestCustomizers.withPkce());
    return http
        .authorizeHttpRequests(any -> any.anyRequest().authenticated())
        .oauth2Login(login -> login
            .redirectionEndpoint(back -> back.baseUri(${quote(facts.path)}))
            .authorizationEndpoint(out -> out.authorizationRequestResolver(requests)))
        .build();
  }

  @Bean
  JwtDecoderFactory<ClientRegistration> idTokens() {
    var factory = new OidcIdTokenDecoderFactory();
    factory.setJwsAlgorithmResolver(client -> SignatureAlgorithm.${facts.algorithm});
    return factory;
  }
}
`;
  // Nimbus, which Spring uses, signs and verifies by RSA and elliptic curves only.
  if (!/^(RS|ES|PS)/.test(facts.algorithm)) return [];
  const title = 'Spring Boot (Spring Security)';
  return [
    { name: 'spring', title, file: 'src/main/resources/application.yml', language: 'yaml', text: settings },
    { name: 'spring-java', title, file: 'GapuraSignIn.java', language: 'java', text: beans },
  ];
}
