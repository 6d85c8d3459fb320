"""Answers brokers that ask by webhook who a client is and what it may do (EMQX, VerneMQ), on the internal port."""
