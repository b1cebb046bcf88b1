// ActorNames: the names of this home's actors in the cluster's control store, and other homes' names found there. Owned
// by the Raylet; loop thread only. Without a control store it does nothing, and names are this machine's alone. Always
// holds: a name that was claimed for an actor is released after the actor has lost its own, or is another's by then.
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

constexpr std::chrono::seconds kNamePatience{5};  // with a control store that is away

class ActorNames {
 public:
  // `lives`: whether an actor of ours bears the name that it has claimed.
  ActorNames(const ClusterView& view, std::function<bool(const ActorId&)> lives,
             std::chrono::milliseconds patience = kNamePatience)
      : view_(view), lives_(std::move(lives)), patience_(patience) {}
  ~ActorNames() { *alive_ = false; }

  void SetControl(ControlLink& control) { control_ = &control; }  // from now on
  bool shared() const { return control_ != nullptr; }

  // kAlreadyExists: another's; a name whose machine is dead is taken over. kUnavailable: not within kNamePatience.
  void Claim(const ActorSettings& actor, Done<void> done);
  void Release(const ActorId& actor);  // nothing where it has claimed none
  // kNotFound; kUnavailable.
  void Find(const std::string& actor_namespace, const std::string& name, Done<ActorId> done);
  // Of the control link's: whose name it was.
  std::optional<ActorId> OnLost(const Published::Lost& lost);

  // Where an actor runs: for people, since its home is asked. Its epoch is the number of its start.
  void Place(const ActorId& actor, const NodeId& host, uint64_t epoch);
  void Forget(const ActorId& actor, uint64_t epoch);

 private:
  void TryClaim(const NameClaim& claim, const std::optional<NameClaim>& instead_of, Deadline deadline, Done<void> done);
  void TakeOver(NameClaim claim, const Error& taken, Deadline deadline, Done<void> done);
  template <class T>
  Done<T> WhileAlive(Done<T> done);

  const ClusterView& view_;
  const std::function<bool(const ActorId&)> lives_;
  const std::chrono::milliseconds patience_;
  ControlLink* control_ = nullptr;
  std::unordered_map<ActorId, NameClaim> claims_;  // that the store has taken
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
