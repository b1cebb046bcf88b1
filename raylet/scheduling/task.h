// Task: the raylet's record of one submitted task, or of the creation of an actor; never changed once made. Shared by
// the queue, the worker that runs it, and the actor directory, which runs it again at a restart.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/messages.h"
#include "raylet/scheduling/resources.h"

namespace raylet {

using JobId = uint32_t;          // one per driver, from 1
using WorkerId = uint64_t;       // one per started process, from 1; ours alone, never on the wire
using ChannelId = uint64_t;      // one per (caller, actor), from 1
using WorkerLeaseId = uint64_t;  // one per lease of a worker, from 1
using ProcessSet = std::unordered_set<ProcessId>;

// The place of a task or an actor: a worker of this machine, another machine, or none yet.
struct Place {
  NodeId node;          // nil: here
  WorkerId worker = 0;  // here only
  static Place Here(WorkerId worker) { return {{}, worker}; }
  static Place There(const NodeId& node) { return {node, 0}; }
  bool IsNowhere() const { return node.IsNil() && worker == 0; }
  bool IsRemote() const { return !node.IsNil(); }
  friend bool operator==(const Place&, const Place&) = default;
};

// The workers that may run a task: those of its job, in its runtime environment.
struct WorkerGroup {
  JobId job = 0;
  std::string environment;  // as in TaskSpec; empty: the driver's own
  friend auto operator<=>(const WorkerGroup&, const WorkerGroup&) = default;
};

constexpr uint32_t kTaskDepthMax = 15;             // deeper ones count as this deep
constexpr size_t kWaitForMax = 10'000;             // objects that one task may wait for
constexpr size_t kEnvironmentBytesMax = 64 << 10;  // of a runtime environment

struct ActorSettings {
  ActorId id;
  std::string name;
  std::string actor_namespace;  // never empty where name is not
  int32_t max_restarts = 0;     // -1: for ever
  bool detached = false;
  int32_t max_concurrency = 0;   // as asked for; 0 and 1: one call at a time
  uint32_t restarts = 0;         // as its home says, where that is another machine; otherwise 0
  int32_t max_task_retries = 0;  // of its calls, for handles that are found by its name; -1: for ever
};

struct Task {
  TaskId id;
  JobId job = 0;
  ProcessId owner = 0;
  std::string name;
  std::string function;
  std::string environment;           // of its workers
  ResourceSet resources;             // in a placement group those of the group (bundle_resources.h)
  PlacementGroupId placement_group;  // nil: none
  int32_t bundle = -1;               // of that group; -1: any
  std::vector<ObjectId> wait_for;
  std::vector<ObjectId> stored_arguments;  // a worker wants them on its own machine
  NodeId from;                             // the machine that sent it here; nil: submitted here
  uint32_t depth = 0;                      // tasks that it is nested in, kTaskDepthMax at most
  int32_t max_retries = 0;                 // -1: for ever
  uint32_t begun_before = 0;               // how often a leased worker has begun it already and died
  bool lent = false;                       // its arguments refer to what its owner lends
  std::optional<ActorSettings> actor;      // set: this task creates an actor
  Bytes body;                              // the TaskSpec as it came, for the worker

  bool IsRemote() const { return !from.IsNil(); }
  WorkerGroup group() const { return {job, environment}; }
  bool CreatesActor() const { return actor.has_value(); }
  size_t memory_bytes() const {
    return sizeof *this + body.size() + environment.size() +
           (wait_for.size() + stored_arguments.size()) * sizeof(ObjectId);
  }
};
using TaskPtr = std::shared_ptr<const Task>;

}  // namespace raylet
