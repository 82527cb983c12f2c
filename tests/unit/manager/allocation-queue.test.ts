import { afterEach, describe, expect, test } from "vitest";
import { ServiceError } from "#contract/errors.ts";
import { executorNumberSchema } from "#contract/ids.ts";
import { ExecutorStateMachine } from "#manager/fleet/executor-state.ts";
import { Executor } from "#manager/fleet/executor.ts";
import { AllocationQueue } from "#manager/sessions/allocation-queue.ts";

let made: Executor[] = [];
const executor = (number: number, type = "python") => {
  const spec = { number: executorNumberSchema.parse(number), type, url: `http://127.0.0.1:${number + 1}` };
  const one = new Executor(spec, new ExecutorStateMachine());
  made.push(one);
  return one;
};
afterEach(async () => {
  await Promise.all(made.map((one) => one[Symbol.asyncDispose]()));
  made = [];
});

const never = new AbortController().signal;
const any = () => true;
const wish = <T>(take: (one: Executor) => T, matches: (one: Executor) => boolean = any) => ({
  matches,
  take,
});
const numberOf = ({ number }: Executor): number => number;

describe("who waits for an executor", () => {
  test("is served first come first served", async () => {
    const queue = new AllocationQueue<string>(10);
    const waiting = ["a", "b", "c"].map((name) =>
      queue.wait(
        wish((one) => `${name}${one.number}`),
        never,
      ),
    );
    for (const number of [7, 8, 9]) queue.offer(executor(number));
    expect(await Promise.all(waiting)).toEqual(["a7", "b8", "c9"]);
    expect(queue.size).toBe(0);
  });

  test("is passed over by an executor that does not suit", async () => {
    const queue = new AllocationQueue<number>(10);
    const typescript = queue.wait(
      wish(numberOf, (one) => one.type === "typescript"),
      never,
    );
    const python = queue.wait(
      wish(numberOf, (one) => one.type === "python"),
      never,
    );
    queue.offer(executor(1, "python"));
    expect(await python).toBe(1);
    expect(queue.size).toBe(1);
    queue.offer(executor(2, "typescript"));
    expect(await typescript).toBe(2);
  });

  test("claims it in the step in which it is offered: no second one can", () => {
    const queue = new AllocationQueue<Executor>(10);
    const taken: string[] = [];
    const take = (name: string) => (one: Executor) => {
      taken.push(name);
      return one;
    };
    void queue.wait(wish(take("first")), never);
    void queue.wait(wish(take("second")), never);
    queue.offer(executor(1));
    expect(taken).toEqual(["first"]);
    expect(queue.size).toBe(1);
  });

  test("and hangs up is offered nothing more", async () => {
    const queue = new AllocationQueue<number>(10);
    const hangUp = new AbortController();
    let ghost = false;
    const gone = queue.wait(
      wish(() => {
        ghost = true;
        return -1;
      }),
      hangUp.signal,
    );
    const next = queue.wait(wish(numberOf), never);
    hangUp.abort(new Error("hung up"));
    queue.offer(executor(1));
    expect(await next).toBe(1);
    await expect(gone).rejects.toThrow("hung up");
    expect(ghost).toBe(false);
  });

  test("with a signal that was aborted before does not even queue", () => {
    const queue = new AllocationQueue<number>(10);
    expect(() => queue.wait(wish(numberOf), AbortSignal.abort(new Error("hung up")))).toThrow("hung up");
    expect(queue.size).toBe(0);
  });

  test("may be no more than the limit", () => {
    const queue = new AllocationQueue<number>(1);
    void queue.wait(wish(numberOf), never);
    expect(() => queue.wait(wish(numberOf), never)).toThrow("1 clients wait for an executor already");
  });

  test("leaves an executor free that nobody waits for", () => {
    const queue = new AllocationQueue<number>(1);
    queue.offer(executor(1));
    expect(queue.size).toBe(0);
  });
});

describe("those who wait for one and the same executor", () => {
  test("share what the first of them takes", async () => {
    const queue = new AllocationQueue<string>(10);
    const one = executor(1);
    const waiting = ["a", "b", "c"].map((name) =>
      queue.wait(
        {
          ...wish(
            () => name,
            (candidate) => candidate === one,
          ),
          shares: true,
        },
        never,
      ),
    );
    queue.offer(executor(2));
    expect(queue.size).toBe(3);
    queue.offer(one);
    expect(await Promise.all(waiting)).toEqual(["a", "a", "a"]);
  });

  test("do not share with a client that wants one for itself", async () => {
    const queue = new AllocationQueue<string>(10);
    const one = executor(1);
    const shared = queue.wait({ ...wish(() => "shared"), shares: true }, never);
    const own = queue.wait(
      wish(() => "own"),
      never,
    );
    queue.offer(one);
    expect(await shared).toBe("shared");
    queue.offer(executor(2));
    expect(await own).toBe("own");
  });

  test("are sent away when it is lost; the others wait on", async () => {
    const queue = new AllocationQueue<string>(10);
    const one = executor(1);
    const waiting = queue.wait(
      {
        ...wish(
          () => "",
          (candidate) => candidate === one,
        ),
        shares: true,
      },
      never,
    );
    const other = queue.wait(
      wish(() => "other"),
      never,
    );
    queue.refuse(one, new ServiceError("executor_unavailable", "gone"));
    await expect(waiting).rejects.toThrow("gone");
    queue.offer(executor(2));
    expect(await other).toBe("other");
  });
});
