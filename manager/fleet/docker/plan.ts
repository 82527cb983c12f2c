import type { ObservedContainer } from "./engine.ts";

/** Labels by which the fleet knows its own containers. What carries none of them is never touched. */
export const FLEET_LABEL = "fleet.id";
export const EXECUTOR_LABEL = "fleet.executor";
export const TYPE_LABEL = "fleet.type";
/** Fingerprint of everything that the container was made with. */
export const FINGERPRINT_LABEL = "fleet.fingerprint";

/** A container that there should be. */
export interface DesiredContainer {
  number: number;
  fingerprint: string;
}

/** One thing to do, and why. */
export type Step =
  | { do: "remove"; containerId: string; name: string; cause: string }
  | { do: "start"; containerId: string; name: string; cause: string }
  | { do: "create"; number: number; cause: string };

/**
 * What has to be done so that exactly the desired containers run. Pure: the same observation gives the same steps,
 * removals first, so that names and ports are free again. A running container that fits is kept, with its kernel.
 */
export function planContainers(
  desired: readonly DesiredContainer[],
  observed: readonly ObservedContainer[],
): Step[] {
  const removals: Step[] = [];
  const kept = new Map<number, ObservedContainer>();
  for (const container of observed) {
    const number = Number(container.labels[EXECUTOR_LABEL]);
    const cause = reasonToRemove(
      container,
      desired.find((wanted) => wanted.number === number),
      kept.get(number),
    );
    if (cause === undefined) kept.set(number, container);
    else removals.push({ do: "remove", containerId: container.id, name: container.name, cause });
  }
  const others = desired.flatMap(({ number }): Step[] => {
    const container = kept.get(number);
    if (!container) return [{ do: "create", number, cause: "no container of it fits" }];
    if (container.running) return [];
    return [{ do: "start", containerId: container.id, name: container.name, cause: "it is stopped" }];
  });
  return [...removals, ...others];
}

function reasonToRemove(
  container: ObservedContainer,
  wanted: DesiredContainer | undefined,
  rival: ObservedContainer | undefined,
): string | undefined {
  if (!wanted) return "no executor of that number is wanted";
  if (container.labels[FINGERPRINT_LABEL] !== wanted.fingerprint) return "it was made with other settings";
  if (rival) return `${rival.name} serves that number already`;
  return undefined;
}

/** The plan as text, a line a step. */
export function formatPlan(steps: readonly Step[]): string {
  return steps
    .map(
      (step) => `${step.do} ${step.do === "create" ? `executor ${step.number}` : step.name}: ${step.cause}`,
    )
    .join("\n");
}
