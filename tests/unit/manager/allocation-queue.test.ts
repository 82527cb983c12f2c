import { afterEach, describe, expect, test } from "vitest";
import { executorNumberSchema } from "#contract/ids.ts";
import { Executor } from "#manager/fleet/executor.ts";
import { AllocationQueue } from "#manager/sessions/allocation-queue.ts";

let made: Executor[] = [];
const executor = (number: number, type = "python") => {
  const one = new Executor({
    number: executorNumberSchema.parse(number),
    type,
    url: `http://127.0.0.1:${number + 1}`,
  });
  made.push(one);
  return one;
};
afterEach(async () => {
  await Promise.all(made.map((one) => one[Symbol.asyncDispose]()));
  made = [];
});

const never = new AbortController().signal;
const any = () => true;
const numberOf = ({ number }: Executor): number => number;

describe("who waits for an executor", () => {
  test("is served first come first served", async () => {
    const queue = new AllocationQueue<string>(10);
    const waiting = ["a", "b", "c"].map((name) => queue.wait(any, (one) => `${name}${one.number}`, never));
    for (const number of [7, 8, 9]) queue.offer(executor(number));
    expect(await Promise.all(waiting)).toEqual(["a7", "b8", "c9"]);
    expect(queue.size).toBe(0);
  });

  test("is passed over by an executor that does not suit", async () => {
    const queue = new AllocationQueue<number>(10);
    const typescript = queue.wait((one) => one.type === "typescript", numberOf, never);
    const python = queue.wait((one) => one.type === "python", numberOf, never);
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
    void queue.wait(any, take("first"), never);
    void queue.wait(any, take("second"), never);
    queue.offer(executor(1));
    expect(taken).toEqual(["first"]);
    expect(queue.size).toBe(1);
  });

  test("and hangs up is offered nothing more", async () => {
    const queue = new AllocationQueue<number>(10);
    const hangUp = new AbortController();
    let ghost = false;
    const gone = queue.wait(
      any,
      () => {
        ghost = true;
        return -1;
      },
      hangUp.signal,
    );
    const next = queue.wait(any, numberOf, never);
    hangUp.abort(new Error("hung up"));
    queue.offer(executor(1));
    expect(await next).toBe(1);
    await expect(gone).rejects.toThrow("hung up");
    expect(ghost).toBe(false);
  });

  test("with a signal that was aborted before does not even queue", () => {
    const queue = new AllocationQueue<number>(10);
    expect(() => queue.wait(any, numberOf, AbortSignal.abort(new Error("hung up")))).toThrow("hung up");
    expect(queue.size).toBe(0);
  });

  test("may be no more than the limit", () => {
    const queue = new AllocationQueue<number>(1);
    void queue.wait(any, numberOf, never);
    expect(() => queue.wait(any, numberOf, never)).toThrow("1 clients wait for an executor already");
  });

  test("leaves an executor free that nobody waits for", () => {
    const queue = new AllocationQueue<number>(1);
    queue.offer(executor(1));
    expect(queue.size).toBe(0);
  });
});
