// ClusterRuntime: the verbs of the public templates, carried out by the parts of ClusterParts. One
// per process, owned by Init in a driver and by RunWorker in a worker. Every method is thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include <ray/api/ray_config.h>
#include <ray/internal/runtime.h>

#include "client/ray/cluster/actor_link.h"
#include "client/ray/cluster/cluster_parts.h"
#include "client/ray/cluster/placement_groups.h"
#include "client/ray/cluster/private_daemons.h"

namespace raylet::client {

class ClusterRuntime final : public ray::internal::Runtime {
 public:
  // `daemons`: the private daemons of this program, or null.
  ClusterRuntime(ClusterParts& parts, std::unique_ptr<PrivateDaemons> daemons)
      : parts_(parts), daemons_(std::move(daemons)) {}
  ~ClusterRuntime() override;
  void Stop() override;

  ray::internal::ObjectHandle Put(ray::internal::Packed value) override;
  ray::internal::ObjectHandle SubmitTask(const std::string& function, std::vector<ray::internal::Argument> arguments,
                                         const ray::internal::CallOptions& options) override;
  ray::internal::ActorHandleState CreateActor(const std::string& factory,
                                              std::vector<ray::internal::Argument> arguments,
                                              const ray::internal::CallOptions& options) override;
  ray::internal::ObjectHandle SubmitActorCall(const ray::internal::ActorHandleState& actor, const std::string& method,
                                              std::vector<ray::internal::Argument> arguments,
                                              const ray::internal::CallOptions& options) override;
  void KillActor(const ray::internal::ActorHandleState& actor, bool no_restart) override;
  ray::internal::FoundActor FindActor(const std::string& name, const std::string& actor_namespace) override;

  void Cancel(const ray::internal::ObjectHandle& object, bool force) override;
  bool IsCancelled() const override { return parts_.current.IsCancelled() || CurrentCalls::IsCancelledHere(); }

  ray::internal::PackedView Get(const ray::internal::ObjectHandle& object, int64_t timeout_ms) override;
  size_t GetMany(std::span<const ray::internal::ObjectHandle> objects, int64_t timeout_ms,
                 std::span<ray::internal::PackedView> views) override;
  ray::internal::Hold Want(std::span<const ray::internal::ObjectHandle> objects) override;
  ray::internal::Hold WantArraysOf(std::span<const ray::internal::PackedView> values) override;
  std::vector<bool> Wait(std::span<const ray::internal::ObjectHandle> objects, size_t count,
                         int64_t timeout_ms) override;

  void WhenReady(const ray::internal::ObjectHandle& object, std::function<void()> callback) override;

  void PackReference(const ray::internal::ObjectHandle& object, char* id) override;
  ray::internal::ObjectHandle UnpackReference(std::string_view id) override;
  std::string IdOf(const ray::internal::ObjectHandle& object) const override;
  void Share(const ray::internal::ObjectHandle& object) override;
  ray::internal::ObjectHandle FindObject(const std::string& id) override;

  void PackActor(const ray::internal::ActorHandleState& actor, std::string& bytes) override;
  ray::internal::ActorHandleState UnpackActor(std::string_view bytes) override;
  std::string IdOf(const ray::internal::ActorHandleState& actor) const override;

  std::shared_ptr<ray::internal::ArrayStorage> AllocateArray(size_t bytes) override;
  void PackArray(const std::shared_ptr<ray::internal::ArrayStorage>& array, char* id) override;
  std::shared_ptr<ray::internal::ArrayStorage> UnpackArray(std::string_view id) override;

  std::string ActorNamespace() const override { return parts_.link.actor_namespace(); }
  std::vector<ray::NodeInfo> Nodes() override;
  std::string CreatePlacementGroup(const ray::PlacementGroupCreationOptions& options) override;
  void RemovePlacementGroup(const std::string& id) override;
  bool AwaitPlacementGroup(const std::string& id, int timeout_seconds) override;
  std::vector<ray::PlacementGroup> FindPlacementGroups(const std::string& id, const std::string& name) override;
  bool WasCurrentActorRestarted() const override { return actor_restarted_.load(std::memory_order_acquire); }
  // This process hosts an actor that has restarted. Call it before the actor's constructor, which may start threads.
  void MarkActorRestarted() { actor_restarted_.store(true, std::memory_order_release); }
  [[noreturn]] void ExitActor() override;

 private:
  ray::internal::ActorHandleState HandleOf(const ActorId& id, ray::internal::Hold lend);
  void WaitForBorrowed(ClusterObject& object, Deadline deadline);
  // The lend of the value that is being unpacked, which covers this object, array or actor from now on; null: no lend.
  ray::internal::Hold LendOf(const ObjectId& id);
  ray::internal::Hold ClaimOf(const ObjectId& id);
  void TakeLend(ClusterObject& object, bool known);
  void AwaitClaim(const ClusterObjectPtr& object);  // marks it once the claim has arrived
  struct Named {
    ClusterObjectPtr object;
    bool known = false;  // by other handles
  };
  Named ObjectNamed(std::string_view id);

  ClusterParts& parts_;
  PlacementGroups groups_{parts_.link, parts_.pump};
  std::unique_ptr<PrivateDaemons> daemons_;
  std::atomic<bool> actor_restarted_{false};  // never taken back
};

// A driver's runtime: connects to config.address, or starts private daemons when that is empty. Throws RayException.
std::unique_ptr<ray::internal::Runtime> MakeClusterRuntime(const ray::RayConfig& config);

// Thrown by ExitActor through the user's method to worker_loop.
struct ActorExit {};

}  // namespace raylet::client
