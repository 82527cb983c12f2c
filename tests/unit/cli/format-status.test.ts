import { expect, test } from "vitest";
import { formatStatus } from "#cli/format-status.ts";
import type { Status } from "#contract/manager-api.ts";

const status: Status = {
  available_containers: 0,
  available_by_type: { python: 0 },
  allocated_containers: 1,
  total_containers: 2,
  allocated_container_ids: [0],
  starting_containers: 0,
  resetting_containers: 0,
  unhealthy_containers: 1,
  waiting_allocations: 3,
  backend: "docker",
  warnings: ["of the fleet"],
  executors: [
    {
      container_id: 0,
      type: "python",
      state: "allocated",
      reset: "kernel",
      session_id: "ses_1",
      warnings: ["twice"],
    },
    {
      container_id: 10,
      type: "python",
      state: "unhealthy",
      reset: "kernel",
      reason: "it ended",
      warnings: ["twice"],
    },
  ],
};

test("a status says what is not as it should be, and every warning once", () => {
  expect(formatStatus(status)).toBe(
    [
      "2 executors (docker): 0 free, 1 allocated, 1 unhealthy, 3 waiting for one",
      "",
      "executor  type    state      session",
      "0         python  allocated  ses_1",
      "10        python  unhealthy  -        it ended",
      "",
      "warning: of the fleet",
      "",
      "warning: twice",
    ].join("\n"),
  );
});
