// RuntimeGate: the object that the public templates call, for as long as the program runs. It passes each call on to
// the current runtime, and counts the calls under way. So a runtime that was taken away can be destroyed once no thread
// is inside of a call, whatever the program's threads do. Any thread; one per program, never destroyed.
#pragma once

#include <atomic>
#include <cstddef>

#include <ray/internal/runtime.h>

namespace ray::internal {

class RuntimeGate final : public Runtime {
 public:
  static RuntimeGate& Instance();

  // Null: no runtime. The caller owns the runtimes, and destroys the old one only once the gate is Quiet.
  void Set(Runtime* runtime);
  bool IsSet() const { return runtime_.load(std::memory_order_acquire) != nullptr; }
  // No thread is inside of a call at this moment, so no thread uses a runtime that was taken away before.
  bool Quiet() const { return inside_.load(std::memory_order_seq_cst) == 0; }

  ObjectHandle Put(Packed value) override;
  ObjectHandle SubmitTask(const std::string& function, std::vector<Argument> arguments,
                          const CallOptions& options) override;
  ActorHandleState CreateActor(const std::string& factory, std::vector<Argument> arguments,
                               const CallOptions& options) override;
  ObjectHandle SubmitActorCall(const ActorHandleState& actor, const std::string& method,
                               std::vector<Argument> arguments, const CallOptions& options) override;
  void KillActor(const ActorHandleState& actor, bool no_restart) override;
  FoundActor FindActor(const std::string& name, const std::string& actor_namespace) override;

  void Cancel(const ObjectHandle& object, bool force) override;
  bool IsCancelled() const override;

  PackedView Get(const ObjectHandle& object, int64_t timeout_ms) override;
  size_t GetMany(std::span<const ObjectHandle> objects, int64_t timeout_ms, std::span<PackedView> views) override;
  Hold Want(std::span<const ObjectHandle> objects) override;
  Hold WantArraysOf(std::span<const PackedView> values) override;
  std::vector<bool> Wait(std::span<const ObjectHandle> objects, size_t count, int64_t timeout_ms) override;

  void WhenReady(const ObjectHandle& object, std::function<void()> callback) override;

  void PackReference(const ObjectHandle& object, char* id) override;
  ObjectHandle UnpackReference(std::string_view id) override;
  std::string IdOf(const ObjectHandle& object) const override;
  void Share(const ObjectHandle& object) override;
  ObjectHandle FindObject(const std::string& id) override;

  void PackActor(const ActorHandleState& actor, std::string& bytes) override;
  ActorHandleState UnpackActor(std::string_view bytes) override;
  std::string IdOf(const ActorHandleState& actor) const override;

  std::shared_ptr<ArrayStorage> AllocateArray(size_t bytes) override;
  void PackArray(const std::shared_ptr<ArrayStorage>& array, char* id) override;
  std::shared_ptr<ArrayStorage> UnpackArray(std::string_view id) override;

  std::string ActorNamespace() const override;
  std::vector<NodeInfo> Nodes() override;
  bool WasCurrentActorRestarted() const override;
  std::string CreatePlacementGroup(const PlacementGroupCreationOptions& options) override;
  void RemovePlacementGroup(const std::string& id) override;
  bool AwaitPlacementGroup(const std::string& id, int timeout_seconds) override;
  std::vector<PlacementGroup> FindPlacementGroups(const std::string& id, const std::string& name) override;
  [[noreturn]] void ExitActor() override;

 private:
  // One call: the runtime that it goes to stays while this lives. Throws where there is none, and in a forked child.
  class Call {
   public:
    explicit Call(const RuntimeGate& gate);
    // Release, paired with the load in Quiet: a thread that finds the gate quiet sees the call's effects.
    ~Call() { gate_.inside_.fetch_sub(1, std::memory_order_release); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    Runtime* operator->() const { return runtime_; }

   private:
    const RuntimeGate& gate_;
    Runtime* runtime_ = nullptr;
  };

  // Calls that have begun. A call raises it before it reads runtime_, both seq_cst. So either a Quiet after a Set sees
  // the call, or the call sees the new runtime.
  mutable std::atomic<size_t> inside_{0};
  std::atomic<Runtime*> runtime_{nullptr};
};

}  // namespace ray::internal
