//! Every published number: the engine and the proxy beside their peers.
