// An OpenID provider whose clients get tokens that live as long as the test says.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider, { errors } from "oidc-provider";

const { port, key, certificate, audience, clients } = JSON.parse(process.argv[2]);

const provider = new Provider(`https://127.0.0.1:${port}`, {
  clients: clients.map(({ id, secret, method }) => ({
    client_id: id,
    client_secret: secret,
    token_endpoint_auth_method: method,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
  })),
  extraParams: ["audience"],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx) => ctx.oidc.body?.audience,
      getResourceServerInfo(ctx, resource, client) {
        if (resource !== audience) throw new errors.InvalidTarget();
        const { lifetime } = clients.find(({ id }) => id === client.clientId);
        return { accessTokenFormat: "jwt", accessTokenTTL: lifetime, scope: "" };
      },
    },
  },
});
provider.on("grant.success", (ctx) => console.log(`issued ${ctx.oidc.client.clientId}`));

createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, provider.callback())
  .listen(port, "127.0.0.1", () => console.log("listening"));
