// The status of a raylet, as a tool gets it.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "base/frame_connection.h"
#include "client/finder/raylet_finder.h"
#include "fbs/messages.h"

namespace cluster_test {

inline nlohmann::json AskStatus(raylet::FrameConnection& tool) {
  using raylet::Deadline;
  const auto sent = tool.Send(static_cast<uint16_t>(raylet::wire::RayletMessage::NodeStatus), 2,
                              raylet::Encode(raylet::wire::EmptyNoticeT()), Deadline::AfterMs(30'000));
  if (!sent) throw std::runtime_error(sent.error().message);
  const auto frame = tool.Receive(Deadline::AfterMs(20'000));
  if (!frame || !frame->has_value()) throw std::runtime_error("the raylet does not say how it is");
  return nlohmann::json::parse(raylet::Parse<raylet::wire::NodeStatusReplyT>((*frame)->body)->json);
}

inline nlohmann::json StatusOf(const std::string& raylet_socket) {
  auto tool = raylet::FrameConnection::Connect(raylet_socket, raylet::Deadline::AfterMs(30'000), /*retry=*/false);
  if (!tool) throw std::runtime_error(tool.error().message);
  const auto registered = raylet::client::RegisterTool(*tool, raylet::Deadline::AfterMs(30'000));
  if (!registered) throw std::runtime_error(registered.error().message);
  return AskStatus(*tool);
}

}  // namespace cluster_test
