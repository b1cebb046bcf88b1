// ActorNames: the names of this home's actors in the cluster's control store, and other homes'
// names found there. Owned by the Raylet; loop thread only. Without a control store it does
// nothing; names then hold on this machine only.
// Always holds: a name that was taken for an actor is released after the actor has lost it,
// unless another actor has it by then.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "raylet/control/control_link.h"
#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/task.h"

namespace raylet {

constexpr std::chrono::seconds kNamePatience{
    5};  // how long the taking of a name waits for a control store that is away

struct FoundActor {
  ActorId id;
  int32_t max_task_retries = 0;  // as in ActorSettings
};

class ActorNames {
 public:
  // `lives`: whether an actor of ours has the name that it took.
  ActorNames(const ClusterView& view, std::function<bool(const ActorId&)> lives,
             std::chrono::milliseconds patience = kNamePatience)
      : view_(view), lives_(std::move(lives)), patience_(patience) {}
  ~ActorNames() { *alive_ = false; }

  void SetControl(ControlLink& control) { control_ = &control; }  // set once, then fixed
  bool shared() const { return control_ != nullptr; }

  // kAlreadyExists: another actor has the name; the name of an actor on a dead machine is taken
  // over. kUnavailable: no answer within kNamePatience.
  void Take(const ActorSettings& actor, Done<void> done);
  void Release(const ActorId& actor);  // does nothing where the actor has taken none
  // kNotFound; kUnavailable.
  void Find(const std::string& actor_namespace, const std::string& name, Done<FoundActor> done);
  // Called by the control link: says whose name was lost.
  std::optional<ActorId> OnLost(const Published::Lost& lost);

  // Publishes where an actor runs. This is for people; raylets ask the home. The epoch is the
  // number of the actor's start.
  void Place(const ActorId& actor, const NodeId& host, uint64_t epoch);
  void Forget(const ActorId& actor, uint64_t epoch);

 private:
  void TryTake(const NameEntry& entry, const std::optional<NameEntry>& instead_of, Deadline deadline, Done<void> done);
  void TakeOver(NameEntry entry, const Error& taken, Deadline deadline, Done<void> done);
  template <class T>
  Done<T> WhileAlive(Done<T> done);

  const ClusterView& view_;
  const std::function<bool(const ActorId&)> lives_;
  const std::chrono::milliseconds patience_;
  ControlLink* control_ = nullptr;
  std::unordered_map<ActorId, NameEntry> entries_;  // names that the store has granted
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
