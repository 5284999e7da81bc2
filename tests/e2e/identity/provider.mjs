// An OpenID provider: one client, tokens that live as many seconds as the test says.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider, { errors } from "oidc-provider";

const { port, key, certificate, audience, lifetime, client, secret, authMethod } = JSON.parse(
  process.argv[2],
);

const provider = new Provider(`https://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: client,
      client_secret: secret,
      token_endpoint_auth_method: authMethod,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
    },
  ],
  extraParams: ["audience"],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => ctx.oidc.body?.audience,
      getResourceServerInfo(ctx, resource) {
        if (resource !== audience) throw new errors.InvalidTarget();
        return { accessTokenFormat: "jwt", accessTokenTTL: lifetime, scope: "" };
      },
    },
  },
});

const token = (outcome) => (ctx) =>
  console.log(`${outcome} ${ctx.oidc?.entities?.ClientCredentials?.jti ?? ""}`);
provider.on("grant.success", token("issued"));
provider.on("grant.error", token("refused"));

createServer(
  { key: readFileSync(key), cert: readFileSync(certificate) },
  provider.callback(),
).listen(port, "127.0.0.1", () => console.log("listening"));
