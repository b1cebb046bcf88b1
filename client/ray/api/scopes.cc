// PackScope and UnpackScope: the references of the value that this thread packs or unpacks.
#include <utility>

#include <ray/internal/runtime.h>

namespace ray::internal {
namespace {

thread_local PackScope* pack_scope = nullptr;
thread_local UnpackScope* unpack_scope = nullptr;

}  // namespace

PackScope::PackScope() : outer_(std::exchange(pack_scope, this)) {}
PackScope::~PackScope() { pack_scope = outer_; }

std::vector<Hold> PackScope::TakeHolds() { return std::exchange(holds_, {}); }

void PackScope::Add(Hold hold) {
  if (pack_scope != nullptr) pack_scope->holds_.push_back(std::move(hold));
}

UnpackScope::UnpackScope(const PackedView& view) : view_(view), outer_(std::exchange(unpack_scope, this)) {}
UnpackScope::~UnpackScope() { unpack_scope = outer_; }

Hold UnpackScope::Lend() { return unpack_scope != nullptr ? unpack_scope->view_.lend : nullptr; }

std::chrono::steady_clock::time_point UnpackScope::Deadline() {
  return unpack_scope != nullptr ? unpack_scope->view_.deadline : std::chrono::steady_clock::time_point::max();
}

}  // namespace ray::internal
