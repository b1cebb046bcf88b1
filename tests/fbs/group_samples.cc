// The samples of messages about placement groups.
#include "fbs/ids.h"
#include "tests/fbs/samples.h"

namespace raylet::samples {
namespace {

std::unique_ptr<wire::Id20> GroupIdPointer(uint8_t byte) {
  PlacementGroupId id;
  for (size_t i = 0; i < PlacementGroupId::kSize; ++i) id.mutable_data()[i] = static_cast<uint8_t>(byte + i);
  return std::make_unique<wire::Id20>(ToWire(id));
}

}  // namespace

void Fill(wire::BundleT& message) {
  auto resource = std::make_unique<wire::ResourceT>();
  resource->name = "CPU";
  resource->units = 10000;
  message.resources.push_back(std::move(resource));
  message.node = GroupIdPointer(70);
  message.index = 1;
}
void Fill(wire::PlacementGroupT& message) {
  message.id = GroupIdPointer(90);
  message.name = "servers";
  message.strategy = wire::PlacementStrategy::StrictSpread;
  message.state = wire::PlacementGroupState::Rescheduling;
  message.bundles.push_back(std::make_unique<wire::BundleT>(Make<wire::BundleT>()));
  message.reason = "it waits for CPU 1";
  message.group_namespace = "training";
}
void Fill(wire::PlacementGroupRequestT& message) { message.group = GroupIdPointer(90); }
void Fill(wire::FindPlacementGroupsRequestT& message) {
  message.group = GroupIdPointer(90);
  message.name = "servers";
}
void Fill(wire::FindPlacementGroupsReplyT& message) {
  message.groups.push_back(std::make_unique<wire::PlacementGroupT>(Make<wire::PlacementGroupT>()));
}
void Fill(wire::AwaitPlacementGroupRequestT& message) {
  message.group = GroupIdPointer(90);
  message.timeout_ms = 10'000;
}
void Fill(wire::PrepareBundlesRequestT& message) {
  message.group = GroupIdPointer(90);
  message.attempt = 2;
  message.bundles.push_back(std::make_unique<wire::BundleT>(Make<wire::BundleT>()));
}
void Fill(wire::BundlesNoticeT& message) {
  message.group = GroupIdPointer(90);
  message.attempt = 2;
}
void Fill(wire::BundlesAnswerT& message) {
  message.group = GroupIdPointer(90);
  message.attempt = 2;
  message.prepared = true;
}
void Fill(wire::FindGroupsRequestT& message) {
  message.number = 4;
  message.name = "servers";
  message.group_namespace = "training";
  message.creating = GroupIdPointer(90);
}
void Fill(wire::GroupsFoundNoticeT& message) {
  message.number = 4;
  message.groups.push_back(std::make_unique<wire::PlacementGroupT>(Make<wire::PlacementGroupT>()));
}

}  // namespace raylet::samples
