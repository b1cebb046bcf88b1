// TaskSubmission: one task as its submitter keeps it, from Remote() until its answer. Shared by whatever it waits for,
// and by the channel of the leased worker that runs it. One thread at a time changes it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/ray/cluster/call_arguments.h"
#include "client/ray/cluster/task_room.h"

namespace raylet::client {

class TaskKind;

struct TaskSubmission {
  std::string function;
  std::string name;                         // for people; empty: the function's
  std::map<std::string, double> resources;  // as the program asks
  std::string environment;                  // of its worker, as in TaskSpec
  std::string placement_group;              // the id of one that it runs in, or empty
  int bundle = -1;                          // of that group
  uint32_t depth = 0;
  CallArguments arguments;
  std::vector<ValueView> views;  // of the arguments, once they are resolved
  ClusterObjectPtr result;
  TaskRoom::Place place;          // until PendingTasks has it
  int32_t retries_left = 0;       // -1: for ever
  int32_t exception_retries = 0;  // how often a worker runs it again when it throws; -1: for ever
  uint32_t begun_before = 0;      // how often a leased worker has begun it and died
  TaskKind* kind = nullptr;       // set: it may go to a leased worker
};
using TaskSubmissionPtr = std::shared_ptr<TaskSubmission>;

// Of a TaskSpec or a LeaseRequest; `group` is an id or empty.
template <class Message>
void SetPlacementGroup(Message& message, const std::string& group, int bundle) {
  if (group.empty()) return;
  message.placement_group = std::make_unique<wire::Id20>(ToWire(PlacementGroupId::FromBinary(group)));
  message.bundle = bundle;
}

// `cpus`: where the program names no CPU.
void FillResources(std::map<std::string, double> resources, double cpus,
                   std::vector<std::unique_ptr<wire::ResourceT>>& out);

}  // namespace raylet::client
