import { createHmac } from "node:crypto";
import { memoryBytesOf, plannedExecutors, type FleetSpec } from "#compose/fleet-spec.ts";
import { executorNumberSchema, type ExecutorNumber } from "#contract/ids.ts";
import type { ExecutorEndpoint as Place } from "#manager/fleet/backend.ts";
import type { Endpoints } from "./endpoints.ts";
import type { ContainerOptions, ObservedContainer } from "./engine.ts";
import {
  containerName,
  containerOptions,
  containerUrl,
  type ExecutorContainer,
  type ExecutorEndpoint,
} from "./executor-container.ts";
import { FINGERPRINT_LABEL, type DesiredContainer } from "./plan.ts";

/** What `fleet up` asks of the docker backend; the rest of a spec is for Compose files. */
export type DockerFleetSpec = Pick<
  FleetSpec,
  | "name"
  | "types"
  | "limits"
  | "environment"
  | "executionTimeout"
  | "maxExecutionTimeout"
  | "codeDirectory"
  | "resets"
>;

/** What the containers of a fleet are made of. */
export interface ContainerSettings {
  spec: DockerFleetSpec;
  /** Directory of each executor for what user code hands in, by number. */
  submissionDirectories?: readonly string[];
  /** Secret that the executors' tokens are made of: with the same secret a manager can take up its containers. */
  secret: string;
}

/** A container that there should be, with all that the engine is told of it. */
export interface Desired extends DesiredContainer {
  number: ExecutorNumber;
  endpoint: ExecutorEndpoint;
  /** Where the manager finds the executor. */
  place: Place;
  memoryBytes: number;
  options: ContainerOptions;
}

/** The containers that a fleet's settings ask for, given the image of each type and what is there. */
export async function desiredContainers(
  settings: ContainerSettings,
  endpoints: Endpoints,
  images: ReadonlyMap<string, string>,
  observed: readonly ObservedContainer[],
): Promise<Desired[]> {
  return await Promise.all(
    plannedExecutors(settings.spec).map(async ({ number, type }) => {
      const image = images.get(type);
      if (image === undefined) throw new Error(`type ${type} has no image`);
      const endpoint = await endpoints.of(number, observed);
      return describe(executorContainer(settings, { number, type, image, endpoint }));
    }),
  );
}

function executorContainer(
  { spec, secret, submissionDirectories }: ContainerSettings,
  executor: Pick<ExecutorContainer, "number" | "type" | "image" | "endpoint">,
): ExecutorContainer {
  const { number, type } = executor;
  const submissionDirectory = submissionDirectories?.[number];
  return {
    ...executor,
    fleetId: spec.name,
    token: createHmac("sha256", secret).update(`${spec.name}/${number}`).digest("hex"),
    environment: {
      ...spec.environment,
      EXECUTION_TIMEOUT: String(spec.executionTimeout),
      MAX_EXECUTION_TIMEOUT: String(spec.maxExecutionTimeout),
    },
    memoryBytes: memoryBytesOf(spec.limits, type),
    cpus: spec.limits.cpus,
    pids: spec.limits.pids,
    ...(spec.codeDirectory === undefined ? {} : { codeDirectory: spec.codeDirectory }),
    ...(submissionDirectory === undefined ? {} : { submissionDirectory }),
  };
}

function describe(container: ExecutorContainer): Desired {
  const { endpoint, token, memoryBytes } = container;
  const options = containerOptions(container);
  return {
    number: executorNumberSchema.parse(container.number),
    name: containerName(container),
    fingerprint: options.Labels?.[FINGERPRINT_LABEL] ?? "",
    endpoint,
    place: { url: containerUrl(container), token },
    memoryBytes,
    options,
  };
}
