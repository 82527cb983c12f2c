import type { ObservedContainer } from "./engine.ts";

/** Labels by which the fleet knows its own containers. What carries none of them is never touched. */
export const FLEET_LABEL = "fleet.id";
export const EXECUTOR_LABEL = "fleet.executor";
export const TYPE_LABEL = "fleet.type";
/** The port on loopback behind which an executor is reached; it outlives the manager with the container. */
export const PORT_LABEL = "fleet.port";
/** Fingerprint of everything that the container was made with. */
export const FINGERPRINT_LABEL = "fleet.fingerprint";

/** A container that there should be. */
export interface DesiredContainer {
  number: number;
  name: string;
  fingerprint: string;
}

/** One thing to do, or to leave as it is, and why. */
export type Step =
  | { do: "remove"; containerId: string; name: string; cause: string }
  | { do: "keep" | "start"; number: number; containerId: string; name: string; cause: string }
  /** `replaces` is why the container that was there does not do. */
  | { do: "create"; number: number; name: string; cause: string; replaces?: string };

/**
 * What has to be done so that exactly the desired containers run. Pure: the same observation gives the same steps,
 * removals first, so that names and ports are free again. A running container that fits is kept, with its kernel.
 */
export function planContainers(
  desired: readonly DesiredContainer[],
  observed: readonly ObservedContainer[],
): Step[] {
  const removals: Step[] = [];
  const unfit = new Map<number, string>();
  const fitting = new Map<number, ObservedContainer>();
  for (const container of observed) {
    const number = numberOf(container);
    const wanted = desired.find((one) => one.number === number);
    const cause = reasonToRemove(container, wanted, fitting.get(number));
    if (cause === undefined) {
      fitting.set(number, container);
      continue;
    }
    unfit.set(number, cause);
    removals.push({ do: "remove", containerId: container.id, name: container.name, cause });
  }
  const others = desired.map(({ number, name }): Step => {
    const container = fitting.get(number);
    const replaces = unfit.get(number);
    if (!container && replaces !== undefined)
      return { do: "create", number, name, cause: `no container of executor ${number} fits`, replaces };
    if (!container) return { do: "create", number, name, cause: `executor ${number} has no container` };
    const step = { number, containerId: container.id, name: container.name };
    if (container.running) return { do: "keep", ...step, cause: "it runs and fits" };
    return { do: "start", ...step, cause: "it is stopped" };
  });
  return [...removals, ...others];
}

/** The executor whose container it is; NaN for one that does not tell. */
export function numberOf({ labels }: Pick<ObservedContainer, "labels">): number {
  return Number(labels[EXECUTOR_LABEL] || Number.NaN);
}

function reasonToRemove(
  container: ObservedContainer,
  wanted: DesiredContainer | undefined,
  rival: ObservedContainer | undefined,
): string | undefined {
  if (!wanted) return "no executor of that number is wanted";
  if (container.dead) return "it is dead";
  if (container.labels[FINGERPRINT_LABEL] !== wanted.fingerprint) return "it was made with other settings";
  if (rival) return `${rival.name} serves that number already`;
  return undefined;
}

/** A step as text. */
export function formatStep(step: Step): string {
  return `${step.do} ${step.name}: ${step.cause}`;
}

/** The plan as text, a line a step. */
export function formatPlan(steps: readonly Step[]): string {
  return steps.map(formatStep).join("\n");
}
