// What the console uses of the modules of ../page, which are served as they are.

declare module "#page/session.js" {
  export class Session {
    static resume(): Promise<Session | undefined>;
    readonly pending: boolean;
    readonly name: string;
    readonly subject: string;
    can(scope: string): boolean;
    fetch(path: string, request?: RequestInit): Promise<Response>;
    prove: (service: string) => Promise<void>;
    ended: (problem: Error) => void;
  }
}

declare module "#page/signin.js" {
  import type { Session } from "#page/session.js";
  export const signIn: (asked: { notice?: string | undefined; username?: string | undefined }) => Promise<{ session: Session }>;
  export const signOutButton: (session: Session, done: (notice: string) => void) => HTMLElement;
}

declare module "#page/stepup.js" {
  import type { Session } from "#page/session.js";
  export const stepUp: (session: Session) => (service: string) => Promise<void>;
}

declare module "#page/problem.js" {
  export interface ProblemBody {
    code: string;
    status?: number;
    detail?: string;
    errors?: { pointer?: string; message: string }[];
    acrValues?: string[];
    requestId?: string;
  }
  export class Problem extends Error {
    constructor(body: ProblemBody, retryAfter?: number);
    readonly code: string;
    readonly status: number;
    readonly errors: { pointer?: string; message: string }[];
    readonly requestId: string;
    readonly asksForFactor: boolean;
  }
  export const cancelled: () => Problem;
}

declare module "#page/words.js" {
  export const sentence: (problem: unknown) => string;
  export const moment: (time: string) => string;
  export const typeName: (type: string) => string;
  export const meaning: (scope: string) => string;
}

declare module "#page/dialog.js" {
  export const closeAll: () => void;
  export const open: <T>(title: string, content: (close: (value?: T) => void) => Node[]) => Promise<T | undefined>;
}

declare module "#page/dom.js" {
  export const uniqueId: (stem: string) => string;
  export const el: (name: string, properties?: Record<string, string | boolean>, ...children: (Node | string)[]) => HTMLElement;
}

declare module "#page/screen.js" {
  export const show: (title: string, ...content: (Node | string)[]) => void;
  export const say: (text: string) => void;
}
