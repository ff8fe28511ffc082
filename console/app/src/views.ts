// The views, in the order in which they are offered. A new one is a file in views/ and a line here.

import type { View } from "./view.js";
import { account } from "./views/account.js";
import { keys } from "./views/keys.js";
import { users } from "./views/users.js";

export const views: View[] = [account, keys, users];
