// The views, in the order in which they are offered. A new one is a file in views/ and a line here.

import type { View } from "./view.js";
import { account } from "./views/account.js";
import { adopted } from "./views/adopted.js";
import { archives } from "./views/archives.js";
import { audit } from "./views/audit.js";
import { clients } from "./views/clients.js";
import { health } from "./views/health.js";
import { keyrings } from "./views/keyrings.js";
import { keys } from "./views/keys.js";
import { limits } from "./views/limits.js";
import { roles } from "./views/roles.js";
import { rootKey } from "./views/rootkey.js";
import { search } from "./views/search.js";
import { secrets } from "./views/secrets.js";
import { sequence } from "./views/sequence.js";
import { services } from "./views/services.js";
import { sets } from "./views/sets.js";
import { signingKeys } from "./views/signingkeys.js";
import { upkeep } from "./views/upkeep.js";
import { users } from "./views/users.js";

export const views: View[] = [account, keys, users, roles, services, clients, secrets, keyrings, signingKeys, rootKey, audit, archives, adopted, sequence, search, sets, limits, health, upkeep];
