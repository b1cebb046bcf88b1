// NodeStatus: what a raylet says of itself. For people: every worker, every queue with the reason why it waits, every
// actor, every resource. For programs: the nodes of the cluster and their resources. It only looks. Owned by the
// Raylet; loop thread only.
#pragma once

#include <string>

#include "raylet/node/actor_desk.h"
#include "raylet/node/channel_desk.h"
#include "raylet/node/claim_desk.h"
#include "raylet/node/object_desk.h"
#include "raylet/node/services.h"
#include "raylet/node/task_desk.h"

namespace raylet {

class ControlParts;

class NodeStatus {
 public:
  // All outlive it.
  NodeStatus(const RayletOptions& options, const Services& services, const TaskDesk& tasks, const ActorDesk& actors,
             const ChannelDesk& channels, const ObjectDesk& objects, const ClaimDesk& claims);
  void SetControl(const ControlParts& control) { control_ = &control; }

  Result<void> OnNodeStatus(ProcessSession& session, const Frame& frame);
  Result<void> OnListNodes(ProcessSession& session, const Frame& frame);
  std::string Json() const;

 private:
  const RayletOptions& options_;
  const Clock& clock_;
  const StoreLink& store_;
  const PeerPost& post_;
  const ProcessDoor& door_;
  const WorkerHouse& house_;
  const Jobs& jobs_;
  const EndNotices& end_notices_;
  const Scheduler& scheduler_;
  const LeaseDesk& leases_;
  const GroupDesk& groups_;
  const ActorDesk& actors_;
  const CallChannels& channels_;
  const ObjectDesk& objects_;
  const ClaimDesk& claims_;
  const ControlParts* control_ = nullptr;  // null without a control store
};

}  // namespace raylet
