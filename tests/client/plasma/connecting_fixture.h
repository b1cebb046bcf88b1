// A real plasma_store, and clients that connect to it. A test that gets no client cannot go on.
#pragma once

#include <cstdlib>
#include <memory>

#include "client/plasma/store_client.h"
#include "tests/client/plasma/store_fixture.h"

namespace raylet::test {

class ConnectingTest : public PlasmaStoreTest {
 protected:
  std::shared_ptr<client::StoreClient> Connect(Duration patience = std::chrono::seconds(30), uint32_t heir = 0) {
    auto client = client::StoreClient::Connect(socket(), "test", Deadline::After(std::chrono::seconds(30)), false, heir,
                                               patience);
    if (!client) {
      ADD_FAILURE() << client.error().message;
      std::abort();
    }
    return *client;
  }
};

}  // namespace raylet::test
